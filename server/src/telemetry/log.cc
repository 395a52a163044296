#include "telemetry/log.h"

#include <chrono>
#include <string>
#include <variant>
#include <vector>

#include "absl/time/clock.h"
#include "spdlog/async.h"
#include "spdlog/async_logger.h"
#include "spdlog/details/thread_pool.h"
#include "telemetry/log_sink.h"

namespace spikeserve::telemetry {
namespace {

// Lines that wait to be written, at most.
constexpr size_t kQueueSize = 4096;

}  // namespace

Log::Log(const LogOptions& options, int fd)
    : options_(options),
      sink_(std::make_shared<LogSink>(fd)),
      writer_(std::make_shared<spdlog::details::thread_pool>(kQueueSize, /*threads_n=*/1)),
      logger_(std::make_shared<spdlog::async_logger>("spikeserve", sink_, writer_,
                                                     spdlog::async_overflow_policy::overrun_oldest)) {
  logger_->set_level(spdlog::level::trace);  // Levels are looked at before a line is made.
}

Log::~Log() {
  sink_->StopWaitingAt(LogSink::Clock::now() + std::chrono::seconds(1));
  writer_.reset();  // Ends when the lines that wait are written or dropped.
}

void Log::Write(LogLevel level, std::string_view message, absl::Span<const LogField> fields) {
  if (!Shows(level)) return LeaveOut(level);
  lines_[static_cast<size_t>(level)].fetch_add(1, std::memory_order_relaxed);
  std::string line = FormatLogLine(options_.format, absl::Now(), level, message, fields);
  line += '\n';
  logger_->log(spdlog::level::info, spdlog::string_view_t(line.data(), line.size()));
}

void Log::Write(const server::Event& event) {
  static constexpr LogLevel kLevels[] = {LogLevel::kInfo, LogLevel::kWarning, LogLevel::kError};
  std::vector<LogField> fields;
  for (const server::Event::Field& field : event.fields) {
    std::visit([&](const auto& value) { fields.push_back({field.key, value}); }, field.value);
  }
  Write(kLevels[static_cast<size_t>(event.severity)], event.message, fields);
}

int64_t Log::dropped() const { return sink_->dropped() + static_cast<int64_t>(writer_->overrun_counter()); }

}  // namespace spikeserve::telemetry

// The server's log: lines on stderr.

#ifndef SPIKESERVE_SERVER_TELEMETRY_LOG_H_
#define SPIKESERVE_SERVER_TELEMETRY_LOG_H_

#include <unistd.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "absl/types/span.h"
#include "runtime/event.h"
#include "telemetry/log_line.h"

namespace spdlog {
class async_logger;
namespace details {
class thread_pool;
}  // namespace details
}  // namespace spdlog

namespace spikeserve::telemetry {

class LogSink;

struct LogOptions {
  LogFormat format = LogFormat::kText;
  // Lines below it are left out.
  LogLevel level = LogLevel::kInfo;
};

// Thread-safe. Lines are handed to a thread that writes them, so that nobody waits for whoever reads them; where they
// are written faster than they are read, the oldest ones are dropped, and counted. The destructor waits
// for the reader for a second at most.
class Log {
 public:
  explicit Log(const LogOptions& options, int fd = STDERR_FILENO);
  ~Log();

  bool Shows(LogLevel level) const { return level >= options_.level; }

  // `message` is one of few, for people; what differs from line to line is in the fields.
  void Write(LogLevel level, std::string_view message, absl::Span<const LogField> fields = {});

  // The same of an event.
  void Write(const server::Event& event);

  // Counts a line that nobody made, because its level is not shown.
  void LeaveOut(LogLevel level) { lines_[static_cast<size_t>(level)].fetch_add(1, std::memory_order_relaxed); }

  // How many lines there were of a level from kDebug to kError, those included that are left out or were dropped.
  int64_t lines(LogLevel level) const { return lines_[static_cast<size_t>(level)]; }

  // How many lines were dropped.
  int64_t dropped() const;

 private:
  const LogOptions options_;
  std::array<std::atomic<int64_t>, static_cast<size_t>(LogLevel::kOff)> lines_{};
  const std::shared_ptr<LogSink> sink_;
  std::shared_ptr<spdlog::details::thread_pool> writer_;
  std::shared_ptr<spdlog::async_logger> logger_;
};

}  // namespace spikeserve::telemetry

#endif  // SPIKESERVE_SERVER_TELEMETRY_LOG_H_

// Writes the lines of the log, where nobody may read them.

#ifndef SPIKESERVE_SERVER_TELEMETRY_LOG_SINK_H_
#define SPIKESERVE_SERVER_TELEMETRY_LOG_SINK_H_

#include <atomic>
#include <chrono>
#include <cstdint>

#include "spdlog/details/null_mutex.h"
#include "spdlog/sinks/base_sink.h"

namespace spikeserve::telemetry {

// Writes to a file descriptor, from one thread. It waits until there is room, but when the log ends not for long: a
// reader that has stopped reading must not keep the server from its end.
class LogSink final : public spdlog::sinks::base_sink<spdlog::details::null_mutex> {
 public:
  using Clock = std::chrono::steady_clock;

  explicit LogSink(int fd) : fd_(fd) {}

  // After this time lines are dropped where they cannot be written at once. Thread-safe.
  void StopWaitingAt(Clock::time_point time) { waits_until_ = time; }

  // The lines that could not be written. Thread-safe.
  int64_t dropped() const { return dropped_; }

 private:
  void sink_it_(const spdlog::details::log_msg& message) override;
  void flush_() override {}

  const int fd_;
  std::atomic<Clock::time_point> waits_until_{Clock::time_point::max()};
  std::atomic<int64_t> dropped_{0};
};

}  // namespace spikeserve::telemetry

#endif  // SPIKESERVE_SERVER_TELEMETRY_LOG_SINK_H_

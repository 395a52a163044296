// A log that a test reads.

#ifndef SPIKESERVE_TESTS_SERVER_TELEMETRY_LOG_TESTING_H_
#define SPIKESERVE_TESTS_SERVER_TELEMETRY_LOG_TESTING_H_

#include <unistd.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_split.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "telemetry/log.h"

namespace spikeserve::testing {

// Writes into a pipe, which is read when the log has ended.
class PipedLog {
 public:
  explicit PipedLog(const telemetry::LogOptions& options) {
    EXPECT_EQ(pipe(ends_), 0);
    log_ = std::make_unique<telemetry::Log>(options, ends_[1]);
  }
  ~PipedLog() {
    log_.reset();
    for (const int end : ends_) close(end);
  }

  telemetry::Log& log() { return *log_; }
  int read_end() const { return ends_[0]; }

  // Ends the log, and returns what was written: less than a pipe takes (64 KiB).
  std::string End() {
    log_.reset();
    close(ends_[1]);
    ends_[1] = -1;
    std::string text;
    char buffer[4096];
    for (ssize_t n; (n = read(ends_[0], buffer, sizeof buffer)) > 0;) text.append(buffer, n);
    return text;
  }

  // The same of lines of JSON.
  std::vector<nlohmann::json> EndJson() {
    std::vector<nlohmann::json> lines;
    for (const auto line : absl::StrSplit(End(), '\n', absl::SkipEmpty())) lines.push_back(nlohmann::json::parse(line));
    return lines;
  }

 private:
  int ends_[2];
  std::unique_ptr<telemetry::Log> log_;
};

}  // namespace spikeserve::testing

#endif  // SPIKESERVE_TESTS_SERVER_TELEMETRY_LOG_TESTING_H_

// What a server tells of itself.

#ifndef SPIKESERVE_CLIENT_STATISTICS_H_
#define SPIKESERVE_CLIENT_STATISTICS_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace spikeserve {

// How long a part of calls took.
struct TimeStatistics {
  int64_t calls = 0;
  absl::Duration total = {};
  // Bucket i has the calls that took no longer than bounds[i] of ServerStatisticsResult and are in no bucket before it,
  // the last one those that took longer than all bounds. As many as there are bounds, and one.
  std::vector<int64_t> buckets = {};

  // What came since `before`, which was asked of the same server earlier.
  TimeStatistics Since(const TimeStatistics& before) const;

  // The bound that the given part of the calls (0 to 1) did not exceed: the upper one of its bucket, so that it is no
  // more than a quarter too large. Zero where there was no call, the last bound where it is exceeded.
  absl::Duration Quantile(double part, const std::vector<absl::Duration>& bounds) const;
};

// The calls of one method that have ended.
struct MethodStatistics {
  // Such as "SpikeCluster"; "other" for those that the server does not have.
  std::string method;
  std::map<absl::StatusCode, int64_t> calls_by_code;
  int64_t request_bytes = 0;
  TimeStatistics queue, decode, compute, encode;

  int64_t calls() const;
  // Those with another code than OK.
  int64_t failed() const;
};

// What a server does now and has done since it started; proto/spikeserve/v1/server.proto tells each field.
struct ServerStatisticsResult {
  std::string version;
  absl::Duration uptime;
  int64_t threads;
  int64_t calls_in_progress;
  int64_t calls_accepted;
  int64_t calls_refused;
  int64_t streams;
  int64_t bytes_in_flight;
  int64_t tasks_waiting;
  int64_t networks;
  int64_t network_bytes;
  int64_t resident_bytes;
  int64_t buffer_bytes_in_use;
  int64_t buffer_idle_bytes;
  int64_t buffers;
  int64_t reused_buffers;
  std::vector<MethodStatistics> methods;
  // Of the buckets.
  std::vector<absl::Duration> bounds;

  // Of all methods together, without OK.
  std::map<absl::StatusCode, int64_t> failed_by_code() const;
};

struct ServerStatisticsArgs {
  using Result = ServerStatisticsResult;
};

}  // namespace spikeserve

#endif  // SPIKESERVE_CLIENT_STATISTICS_H_

// Counts and times of the calls that have ended: the one place that keeps them. ServerStatistics and the metrics read
// it.

#ifndef SPIKESERVE_SERVER_RUNTIME_CALL_STATISTICS_H_
#define SPIKESERVE_SERVER_RUNTIME_CALL_STATISTICS_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "runtime/call_observer.h"
#include "runtime/time_histogram.h"

namespace spikeserve::server {

// The canonical codes, OK among them: 0 to 16.
inline constexpr int kStatusCodes = 17;
using CallsByCode = std::array<int64_t, kStatusCodes>;

// The name of a method for people and for labels: of "/spikeserve.v1.SpikeFunctionService/SpikeCluster" the last part,
// which is unique among all services; "other" for the empty path of a method that the server does not have.
std::string_view MethodName(std::string_view path);

struct MethodCounts {
  std::string_view method;
  CallsByCode calls{};
  // Of what came: a refused call's, too.
  int64_t request_bytes = 0;
  // A call is in those of what it came to: one that was refused is in none.
  TimeCounts queue, decode, compute, encode;

  bool called() const;
};

struct IdentityCounts {
  std::string_view identity;
  CallsByCode calls{};
};

// Thread-safe. Everything that there may be to count is made at the start: to record a call is to look up its method,
// and to add to a few atomic counters. What is read refers to names that live as long as this does.
class CallStatistics {
 public:
  static constexpr size_t kMaxIdentities = 1000;

  // Calls are counted by identity: of the `identities`, and of the first kMaxIdentities others that have proved to be
  // somebody, so that what is counted stays bounded.
  explicit CallStatistics(const std::vector<std::string>& identities);

  void Record(const CallReport& report);

  // All methods of the server, by name; "other" is the last.
  std::vector<MethodCounts> ReadMethods() const;
  // By name, "anonymous" (who has none) and "other" (who came when there were too many) among them.
  std::vector<IdentityCounts> ReadIdentities() const;

 private:
  using Codes = std::array<std::atomic<int64_t>, kStatusCodes>;
  struct Method {
    std::string_view name;
    Codes calls{};
    std::atomic<int64_t> request_bytes{0};
    TimeHistogram queue, decode, compute, encode;
  };
  struct Identity {
    Codes calls{};
  };

  std::vector<std::unique_ptr<Method>> methods_;
  // By path, those of all but "other".
  absl::flat_hash_map<std::string, Method*> by_path_;
  Identity& IdentityOf(const std::string& name);

  mutable std::shared_mutex identities_mutex_;
  // By name; guarded by identities_mutex_, though what it has is never taken away.
  std::map<std::string, Identity, std::less<>> identities_;
  size_t max_identities_;
  Identity& anonymous_;
  Identity& other_;
};

}  // namespace spikeserve::server

#endif  // SPIKESERVE_SERVER_RUNTIME_CALL_STATISTICS_H_

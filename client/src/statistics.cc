#include "spikeserve/client/statistics.h"

#include <algorithm>
#include <cmath>

namespace spikeserve {

TimeStatistics TimeStatistics::Since(const TimeStatistics& before) const {
  TimeStatistics since = *this;
  since.calls -= before.calls;
  since.total -= before.total;
  for (size_t i = 0; i < std::min(buckets.size(), before.buckets.size()); ++i) since.buckets[i] -= before.buckets[i];
  return since;
}

absl::Duration TimeStatistics::Quantile(double part, const std::vector<absl::Duration>& bounds) const {
  if (calls <= 0 || bounds.empty()) return absl::ZeroDuration();
  const int64_t wanted = std::max<int64_t>(1, static_cast<int64_t>(std::ceil(part * static_cast<double>(calls))));
  int64_t counted = 0;
  for (size_t i = 0; i < std::min(buckets.size(), bounds.size()); ++i) {
    counted += buckets[i];
    if (counted >= wanted) return bounds[i];
  }
  return bounds.back();
}

int64_t MethodStatistics::calls() const {
  int64_t calls = 0;
  for (const auto& [code, count] : calls_by_code) calls += count;
  return calls;
}

int64_t MethodStatistics::failed() const {
  const auto ok = calls_by_code.find(absl::StatusCode::kOk);
  return calls() - (ok == calls_by_code.end() ? 0 : ok->second);
}

std::map<absl::StatusCode, int64_t> ServerStatisticsResult::failed_by_code() const {
  std::map<absl::StatusCode, int64_t> failed;
  for (const MethodStatistics& method : methods) {
    for (const auto& [code, count] : method.calls_by_code) {
      if (code != absl::StatusCode::kOk) failed[code] += count;
    }
  }
  return failed;
}

}  // namespace spikeserve

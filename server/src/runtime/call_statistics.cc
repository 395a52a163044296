#include "runtime/call_statistics.h"

#include <algorithm>

#include "runtime/method.h"
#include "runtime/stream_method.h"

namespace spikeserve::server {
namespace {

constexpr std::string_view kOther = "other";
constexpr std::string_view kAnonymous = "anonymous";

void RecordIfAny(absl::Duration time, TimeHistogram& histogram) {
  if (time > absl::ZeroDuration()) histogram.Record(time);
}

CallsByCode Read(const std::array<std::atomic<int64_t>, kStatusCodes>& calls) {
  CallsByCode counts;
  for (int code = 0; code < kStatusCodes; ++code) counts[code] = calls[code].load(std::memory_order_relaxed);
  return counts;
}

template <typename Map>
auto* FindOr(const Map& map, std::string_view key, typename Map::mapped_type otherwise) {
  const auto it = map.find(absl::string_view(key.data(), key.size()));
  return it == map.end() ? otherwise : it->second;
}

}  // namespace

std::string_view MethodName(std::string_view path) { return path.empty() ? kOther : path.substr(path.rfind('/') + 1); }

bool MethodCounts::called() const {
  return std::any_of(calls.begin(), calls.end(), [](int64_t count) { return count > 0; });
}

CallStatistics::CallStatistics(const std::vector<std::string>& identities)
    : max_identities_(2 + identities.size() + kMaxIdentities),
      anonymous_(identities_[std::string(kAnonymous)]),
      other_(identities_[std::string(kOther)]) {
  std::vector<const std::string*> paths;
  for (const auto& [path, method] : Methods()) paths.push_back(&path);
  for (const auto& [path, method] : StreamMethods()) paths.push_back(&path);
  std::sort(paths.begin(), paths.end(), [](auto* a, auto* b) { return MethodName(*a) < MethodName(*b); });
  for (const std::string* path : paths) {
    methods_.push_back(std::make_unique<Method>());
    methods_.back()->name = MethodName(*path);  // The tables live for ever.
    by_path_[*path] = methods_.back().get();
  }
  methods_.push_back(std::make_unique<Method>());
  methods_.back()->name = kOther;

  for (const std::string& name : identities) identities_[name];
}

CallStatistics::Identity& CallStatistics::IdentityOf(const std::string& name) {
  if (name.empty()) return anonymous_;
  {
    const std::shared_lock lock(identities_mutex_);
    if (const auto it = identities_.find(name); it != identities_.end()) return it->second;
  }
  const std::lock_guard lock(identities_mutex_);
  return identities_.size() < max_identities_ ? identities_[name] : other_;
}

void CallStatistics::Record(const CallReport& report) {
  const int code = static_cast<int>(report.status.code());
  Method& method = *FindOr(by_path_, report.path, methods_.back().get());
  method.calls[code].fetch_add(1, std::memory_order_relaxed);
  method.request_bytes.fetch_add(report.request_bytes, std::memory_order_relaxed);
  IdentityOf(report.caller.identity).calls[code].fetch_add(1, std::memory_order_relaxed);
  // The encoding of a refusal says nothing of how long calls take.
  if (report.refused) return;
  RecordIfAny(report.times.queue, method.queue);
  RecordIfAny(report.times.decode, method.decode);
  RecordIfAny(report.times.compute, method.compute);
  RecordIfAny(report.times.encode, method.encode);
}

std::vector<MethodCounts> CallStatistics::ReadMethods() const {
  std::vector<MethodCounts> counts;
  for (const auto& method : methods_) {
    counts.push_back({method->name, Read(method->calls), method->request_bytes.load(std::memory_order_relaxed),
                      method->queue.Read(), method->decode.Read(), method->compute.Read(), method->encode.Read()});
  }
  return counts;
}

std::vector<IdentityCounts> CallStatistics::ReadIdentities() const {
  std::vector<IdentityCounts> counts;
  const std::shared_lock lock(identities_mutex_);
  for (const auto& [name, identity] : identities_) counts.push_back({name, Read(identity.calls)});
  return counts;
}

}  // namespace spikeserve::server

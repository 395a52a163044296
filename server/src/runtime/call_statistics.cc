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

CallStatistics::CallStatistics(const std::vector<std::string>& identities) {
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

  const auto add_identity = [this](std::string_view name) {
    identities_.push_back(std::make_unique<Identity>());
    identities_.back()->name = name;
    return identities_.back().get();
  };
  anonymous_ = add_identity(kAnonymous);
  other_ = add_identity(kOther);
  // Who is called as one of these is counted as such: a label has one series.
  by_identity_ = {{std::string(kAnonymous), anonymous_}, {std::string(kOther), other_}};
  for (const std::string& name : identities) {
    if (!by_identity_.contains(name)) by_identity_[name] = add_identity(name);
  }
}

void CallStatistics::Record(const CallReport& report) {
  const int code = static_cast<int>(report.status.code());
  Method& method = *FindOr(by_path_, report.path, methods_.back().get());
  method.calls[code].fetch_add(1, std::memory_order_relaxed);
  method.request_bytes.fetch_add(report.request_bytes, std::memory_order_relaxed);
  const std::string& identity = report.caller.identity;
  Identity& caller = identity.empty() ? *anonymous_ : *FindOr(by_identity_, identity, other_);
  caller.calls[code].fetch_add(1, std::memory_order_relaxed);
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
  for (const auto& identity : identities_) counts.push_back({identity->name, Read(identity->calls)});
  return counts;
}

}  // namespace spikeserve::server

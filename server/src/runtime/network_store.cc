#include "runtime/network_store.h"

#include <unistd.h>

#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace spikeserve::server {
namespace {

absl::StatusOr<std::string> UnguessableName() {
  char bytes[16];
  if (getentropy(bytes, sizeof(bytes)) != 0) return absl::InternalError("the system gave no random bytes");
  return absl::BytesToHexString({bytes, sizeof(bytes)});
}

absl::Status Unknown(std::string_view name) {
  // A name may be anything, also not printable or huge: only what could be a name is repeated.
  const bool plausible = name.size() <= 32;
  return FieldError(
      absl::StatusCode::kNotFound, "network",
      plausible ? absl::StrCat("\"", absl::CHexEscape({name.data(), name.size()}), "\" is unknown, deleted or expired")
                : absl::StrCat("a name of ", name.size(), " characters"),
      "the name of a network that CreateNetwork returned");
}

}  // namespace

NetworkStore::NetworkStore(const Limits& limits, ComputePool& pool, std::function<absl::Time()> clock)
    : limits_(limits), pool_(pool), clock_(std::move(clock)) {}

absl::StatusOr<std::shared_ptr<HeldNetwork>> NetworkStore::Add(Network network) {
  absl::StatusOr<std::string> name = UnguessableName();
  if (!name.ok()) return name.status();
  const int64_t bytes = network.ByteSize();
  const std::lock_guard lock(mutex_);
  ExpireLocked();
  if (static_cast<int64_t>(slots_.size()) >= limits_.max_networks) {
    return OverLimit("layers", static_cast<int64_t>(slots_.size()), "networks are held already", limits_.max_networks,
                     "--max-networks");
  }
  if (bytes > limits_.max_network_bytes - total_bytes_) {
    return OverLimit("layers", total_bytes_ + bytes, "bytes of networks", limits_.max_network_bytes,
                     "--max-network-bytes");
  }
  auto held = std::make_shared<HeldNetwork>(*name, std::move(network), pool_);
  slots_[*name] = Slot{held, bytes, clock_()};
  total_bytes_ += bytes;
  return held;
}

absl::StatusOr<std::shared_ptr<HeldNetwork>> NetworkStore::Find(std::string_view name) {
  const std::lock_guard lock(mutex_);
  ExpireLocked();
  const auto it = slots_.find(absl::string_view(name.data(), name.size()));
  if (it == slots_.end()) return Unknown(name);
  it->second.last_used = clock_();
  return it->second.held;
}

absl::Status NetworkStore::Remove(std::string_view name) {
  const std::lock_guard lock(mutex_);
  const auto it = slots_.find(absl::string_view(name.data(), name.size()));
  if (it == slots_.end()) return Unknown(name);
  total_bytes_ -= it->second.bytes;
  slots_.erase(it);
  return absl::OkStatus();
}

std::vector<NetworkStore::Info> NetworkStore::List() {
  const std::lock_guard lock(mutex_);
  ExpireLocked();
  const absl::Time now = clock_();
  std::vector<Info> infos;
  for (const auto& [name, slot] : slots_) infos.push_back({name, slot.bytes, now - slot.last_used});
  return infos;
}

NetworkStore::Totals NetworkStore::totals() {
  const std::lock_guard lock(mutex_);
  ExpireLocked();
  return {static_cast<int64_t>(slots_.size()), total_bytes_};
}

absl::Status NetworkStore::SetBytes(const HeldNetwork& held, int64_t bytes) {
  const std::lock_guard lock(mutex_);
  const auto it = slots_.find(held.name);
  if (it == slots_.end()) return absl::OkStatus();
  Slot& slot = it->second;
  slot.last_used = clock_();
  const int64_t others = total_bytes_ - slot.bytes;
  if (bytes > slot.bytes && bytes > limits_.max_network_bytes - others) {
    return OverLimit("network", others + bytes, "bytes of networks", limits_.max_network_bytes, "--max-network-bytes");
  }
  slot.bytes = bytes;
  total_bytes_ = others + bytes;
  return absl::OkStatus();
}

void NetworkStore::Expire() {
  const std::lock_guard lock(mutex_);
  ExpireLocked();
}

void NetworkStore::ExpireLocked() {
  const absl::Time oldest = clock_() - limits_.network_idle_timeout;
  absl::erase_if(slots_, [&](const auto& item) {
    const Slot& slot = item.second;
    if (slot.last_used >= oldest || slot.held->strand->busy()) return false;
    total_bytes_ -= slot.bytes;
    return true;
  });
}

}  // namespace spikeserve::server

#include "runtime/network_store.h"

#include <algorithm>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "runtime/random_bytes.h"
#include "status_macros.h"

namespace spikeserve::server {
namespace {

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

absl::StatusOr<std::shared_ptr<HeldNetwork>> NetworkStore::Add(Network network, std::string_view owner) {
  SPIKESERVE_ASSIGN_OR_RETURN(const std::string name, RandomBytes(16));
  auto held =
      std::make_shared<HeldNetwork>(absl::BytesToHexString(name), std::string(owner), std::move(network), pool_);
  SPIKESERVE_RETURN_IF_ERROR(Insert(held, clock_()));
  return held;
}

absl::Status NetworkStore::Restore(std::string name, std::string owner, Network network, uint64_t next_step,
                                   std::unique_ptr<const codec::Envelope> last_reply) {
  auto held = std::make_shared<HeldNetwork>(std::move(name), std::move(owner), std::move(network), pool_);
  held->next_step = next_step;
  held->last_reply = std::move(last_reply);
  return Insert(std::move(held), absl::InfiniteFuture());
}

void NetworkStore::StartIdleTimes() {
  const std::lock_guard lock(mutex_);
  const absl::Time now = clock_();
  for (auto& [name, slot] : slots_) slot.last_used = std::min(slot.last_used, now);
}

absl::Status NetworkStore::Insert(std::shared_ptr<HeldNetwork> held, absl::Time last_used) {
  const int64_t bytes = held->ByteSize();
  const std::lock_guard lock(mutex_);
  ExpireLocked();
  SPIKESERVE_RETURN_IF_ERROR(CheckCountLocked(held->owner));
  SPIKESERVE_RETURN_IF_ERROR(CheckBytesLocked("layers", held->owner, bytes));
  Slot& slot = slots_[held->name];
  slot = Slot{std::move(held), bytes, last_used};
  CountLocked(slot.held->owner, 1, bytes);
  return absl::OkStatus();
}

std::vector<std::shared_ptr<HeldNetwork>> NetworkStore::All() {
  const std::lock_guard lock(mutex_);
  ExpireLocked();
  std::vector<std::shared_ptr<HeldNetwork>> all;
  for (const auto& [name, slot] : slots_) all.push_back(slot.held);
  return all;
}

absl::StatusOr<std::shared_ptr<HeldNetwork>> NetworkStore::Find(std::string_view name, std::string_view owner) {
  const std::lock_guard lock(mutex_);
  ExpireLocked();
  const auto it = FindLocked(name, owner);
  if (it == slots_.end()) return Unknown(name);
  it->second.last_used = clock_();
  return it->second.held;
}

absl::Status NetworkStore::CheckHeld(const HeldNetwork& held) {
  const std::lock_guard lock(mutex_);
  return slots_.contains(held.name) ? absl::OkStatus() : Unknown(held.name);
}

absl::Status NetworkStore::Remove(std::string_view name, std::string_view owner) {
  const std::lock_guard lock(mutex_);
  const auto it = FindLocked(name, owner);
  if (it == slots_.end()) return Unknown(name);
  CountLocked(it->second.held->owner, -1, -it->second.bytes);
  slots_.erase(it);
  return absl::OkStatus();
}

std::vector<NetworkStore::Info> NetworkStore::List(std::string_view owner) {
  const std::lock_guard lock(mutex_);
  ExpireLocked();
  const absl::Time now = clock_();
  std::vector<Info> infos;
  for (const auto& [name, slot] : slots_) {
    if (slot.held->owner != owner) continue;
    infos.push_back({name, slot.bytes, std::max(now - slot.last_used, absl::ZeroDuration())});
  }
  return infos;
}

NetworkStore::Usage NetworkStore::Total() {
  const std::lock_guard lock(mutex_);
  ExpireLocked();
  return total_;
}

absl::Status NetworkStore::SetBytes(const HeldNetwork& held, int64_t bytes) {
  const std::lock_guard lock(mutex_);
  const auto it = slots_.find(held.name);
  if (it == slots_.end()) return absl::OkStatus();
  Slot& slot = it->second;
  slot.last_used = clock_();
  const int64_t more = bytes - slot.bytes;
  if (more > 0) SPIKESERVE_RETURN_IF_ERROR(CheckBytesLocked("network", held.owner, more));
  slot.bytes = bytes;
  CountLocked(held.owner, 0, more);
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
    CountLocked(slot.held->owner, -1, -slot.bytes);
    ++expired_;
    return true;
  });
}

NetworkStore::Slots::iterator NetworkStore::FindLocked(std::string_view name, std::string_view owner) {
  const auto it = slots_.find(absl::string_view(name.data(), name.size()));
  return it == slots_.end() || it->second.held->owner != owner ? slots_.end() : it;
}

NetworkStore::Usage NetworkStore::UsageLocked(std::string_view owner) const {
  const auto own = by_owner_.find(absl::string_view(owner.data(), owner.size()));
  return own == by_owner_.end() ? Usage() : own->second;
}

absl::Status NetworkStore::CheckCountLocked(std::string_view owner) const {
  const int64_t own = UsageLocked(owner).networks;
  const int64_t limit = limits_.max_networks_per_identity;
  if (limit > 0 && own >= limit) {
    return OverLimit("layers", own, "networks of the caller are held already", limit, "--max-networks-per-identity");
  }
  if (total_.networks >= limits_.max_networks) {
    return OverLimit("layers", total_.networks, "networks are held already", limits_.max_networks, "--max-networks");
  }
  return absl::OkStatus();
}

absl::Status NetworkStore::CheckBytesLocked(std::string_view field, std::string_view owner, int64_t more_bytes) const {
  const int64_t own = UsageLocked(owner).bytes;
  const int64_t limit = limits_.max_network_bytes_per_identity;
  if (limit > 0 && more_bytes > limit - own) {
    return OverLimit(field, own + more_bytes, "bytes of the caller's networks", limit,
                     "--max-network-bytes-per-identity");
  }
  if (more_bytes > limits_.max_network_bytes - total_.bytes) {
    return OverLimit(field, total_.bytes + more_bytes, "bytes of networks", limits_.max_network_bytes,
                     "--max-network-bytes");
  }
  return absl::OkStatus();
}

void NetworkStore::CountLocked(const std::string& owner, int64_t networks, int64_t bytes) {
  const auto own = by_owner_.try_emplace(owner).first;
  for (Usage* usage : {&total_, &own->second}) {
    usage->networks += networks;
    usage->bytes += bytes;
  }
  if (own->second.networks == 0) by_owner_.erase(own);
}

}  // namespace spikeserve::server

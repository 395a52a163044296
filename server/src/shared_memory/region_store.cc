#include "shared_memory/region_store.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "runtime/random_bytes.h"
#include "spikeserve/compute/field_error.h"
#include "status_macros.h"

namespace spikeserve::shared_memory {

// What is mapped for each user.
class RegionStore::Ledger : public std::enable_shared_from_this<Ledger> {
 public:
  explicit Ledger(const Quota& quota) : quota_(quota) {}

  // Books one region of `bytes` for the user until the result goes.
  absl::StatusOr<std::shared_ptr<const void>> Book(uid_t uid, int64_t bytes) {
    SPIKESERVE_RETURN_IF_ERROR(Count(uid, bytes));
    // Not under the lock: where there is no memory for the pointer, what it does at its end is done at once.
    return std::shared_ptr<const void>(this, [self = shared_from_this(), uid, bytes](const void*) {
      const std::lock_guard lock(self->mutex_);
      Usage& usage = self->usage_[uid];
      usage.bytes -= bytes;
      if (--usage.regions == 0) self->usage_.erase(uid);
    });
  }

  Usage UsageOf(uid_t uid) const {
    const std::lock_guard lock(mutex_);
    return UsageLocked(uid);
  }

 private:
  Usage UsageLocked(uid_t uid) const {
    const auto it = usage_.find(uid);
    return it == usage_.end() ? Usage() : it->second;
  }

  // Counts one region more, which there must be room for.
  absl::Status Count(uid_t uid, int64_t bytes) {
    const std::lock_guard lock(mutex_);
    const Usage usage = UsageLocked(uid);
    if (usage.regions >= quota_.max_regions) {
      return FieldError(absl::StatusCode::kResourceExhausted, "share",
                        absl::StrCat(usage.regions, " pieces of memory are shared already"),
                        absl::StrCat("at most ", quota_.max_regions, " of one user"));
    }
    if (bytes > quota_.max_bytes - usage.bytes) {
      return FieldError(
          absl::StatusCode::kResourceExhausted, "share", absl::StrCat(bytes, " bytes on top of ", usage.bytes),
          absl::StrCat("at most ", quota_.max_bytes, " of one user (the server's --max-shared-memory-bytes)"));
    }
    usage_[uid] = {.bytes = usage.bytes + bytes, .regions = usage.regions + 1};
    return absl::OkStatus();
  }

  const Quota quota_;
  mutable std::mutex mutex_;
  absl::flat_hash_map<uid_t, Usage> usage_;  // Guarded by mutex_.
};

RegionStore::RegionStore(const Quota& quota) : ledger_(std::make_shared<Ledger>(quota)) {}

RegionStore::~RegionStore() = default;

std::shared_ptr<const Region> RegionStore::Find(absl::string_view handle) const {
  const std::lock_guard lock(mutex_);
  const auto it = regions_.find(handle);
  return it == regions_.end() ? nullptr : it->second;
}

RegionStore::Usage RegionStore::UsageOf(uid_t uid) const { return ledger_->UsageOf(uid); }

void RegionStore::Remove(absl::string_view handle) {
  std::shared_ptr<const Region> removed;  // Is unmapped, which takes a while, after the lock.
  const std::lock_guard lock(mutex_);
  const auto it = regions_.find(handle);
  removed = std::move(it->second);
  regions_.erase(it);
}

absl::StatusOr<std::string> RegionStore::Session::Add(const FileDescriptor& memory) {
  SPIKESERVE_ASSIGN_OR_RETURN(const int64_t size, CheckMemory(memory));
  SPIKESERVE_ASSIGN_OR_RETURN(std::shared_ptr<const void> booked, store_.ledger_->Book(uid_, size));
  SPIKESERVE_ASSIGN_OR_RETURN(std::shared_ptr<const Region> region, Region::Map(memory, size, std::move(booked)));
  SPIKESERVE_ASSIGN_OR_RETURN(const std::string handle, server::RandomBytes(16));
  const std::lock_guard lock(store_.mutex_);
  store_.regions_[handle] = std::move(region);
  handles_.insert(handle);
  return handle;
}

void RegionStore::Session::Drop(absl::string_view handle) {
  const auto it = handles_.find(handle);
  if (it == handles_.end()) return;
  store_.Remove(handle);
  handles_.erase(it);
}

RegionStore::Session::~Session() {
  for (const std::string& handle : handles_) store_.Remove(handle);
}

}  // namespace spikeserve::shared_memory

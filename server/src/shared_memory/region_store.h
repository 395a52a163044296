// The memory that clients share with the server, by handle.

#ifndef SPIKESERVE_SERVER_SHARED_MEMORY_REGION_STORE_H_
#define SPIKESERVE_SERVER_SHARED_MEMORY_REGION_STORE_H_

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "shared_memory/file_descriptor.h"
#include "shared_memory/region.h"

namespace spikeserve::shared_memory {

// What one user's processes may share at the same time. Counted until the memory is unmapped, which is when its handle
// is dropped and no call uses it any longer.
struct Quota {
  int64_t max_bytes = int64_t{4} << 30;
  int64_t max_regions = 1024;
};

// Thread-safe.
class RegionStore {
 public:
  struct Usage {
    int64_t bytes = 0;
    int64_t regions = 0;
  };

  // The memory of one connection, which goes with it. One thread at a time.
  class Session {
   public:
    // Of a process of the user `uid`. `store` must outlive the session.
    Session(RegionStore& store, uid_t uid) : store_(store), uid_(uid) {}
    ~Session();
    Session(const Session&) = delete;
    Session& operator=(const Session&) = delete;

    // Maps `memory` and returns its handle, 128 random bits. INVALID_ARGUMENT for memory that is not as it has to be
    // (CheckMemory), RESOURCE_EXHAUSTED over the quota.
    absl::StatusOr<std::string> Add(const FileDescriptor& memory);
    // A handle that is not the session's is ignored.
    void Drop(absl::string_view handle);

   private:
    RegionStore& store_;
    const uid_t uid_;
    absl::flat_hash_set<std::string> handles_;
  };

  explicit RegionStore(const Quota& quota);
  ~RegionStore();

  // The region with that handle; null where there is none.
  std::shared_ptr<const Region> Find(absl::string_view handle) const;

  // What is mapped for the user `uid`.
  Usage UsageOf(uid_t uid) const;

 private:
  class Ledger;

  void Remove(absl::string_view handle);

  // Outlives the store where calls still read.
  const std::shared_ptr<Ledger> ledger_;
  mutable std::mutex mutex_;
  absl::flat_hash_map<std::string, std::shared_ptr<const Region>> regions_;  // Guarded by mutex_.
};

}  // namespace spikeserve::shared_memory

#endif  // SPIKESERVE_SERVER_SHARED_MEMORY_REGION_STORE_H_

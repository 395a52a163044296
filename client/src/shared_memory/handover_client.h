// Handing memory to a server: the client's side of proto/spikeserve/v1/shared_memory.proto.

#ifndef SPIKESERVE_CLIENT_SHARED_MEMORY_HANDOVER_CLIENT_H_
#define SPIKESERVE_CLIENT_SHARED_MEMORY_HANDOVER_CLIENT_H_

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "shared_memory/arena.h"
#include "shared_memory/file_descriptor.h"

namespace spikeserve {

// Keeps a connection to a server's socket, where there is one, and hands over each region once for each connection.
// Thread-safe.
class HandoverClient {
 public:
  struct Handle {
    std::string name;
    // The number of the connection on which the server gave it.
    uint64_t connection;
  };

  explicit HandoverClient(std::string path) : path_(std::move(path)) {}

  // The server's handle of `region`, which is handed over where it was not yet. UNAVAILABLE where the server does not
  // share memory or does not answer; it is then not asked again for some seconds. DEADLINE_EXCEEDED without an answer
  // by then. Else the server's refusal.
  absl::StatusOr<Handle> HandleOf(const ArenaRegion& region, absl::Time deadline);

  // Takes a region back.
  void Drop(uint64_t region);

  // Closes the connection of that number: the server does not know what was handed over on it.
  void Disconnect(uint64_t connection);

  // Whether there is a connection on which the server took memory.
  bool in_use() const;

 private:
  // Whoever calls these holds mutex_.

  std::optional<Handle> FindLocked(uint64_t region) const;
  // Sends the region where there is a connection or can be; it is then among the unanswered.
  absl::Status ShareLocked(const ArenaRegion& region);
  // Whether the next answer came by then. Gives `lock` up meanwhile.
  bool WaitLocked(std::unique_lock<std::mutex>& lock, absl::Time deadline);
  // Reads the next answer, which has come. A refusal of `region` is returned, and what ends the connection.
  absl::Status ReadAnswerLocked(uint64_t region);
  void SendDropLocked(const std::string& handle);
  void DisconnectLocked();

  const std::string path_;
  mutable std::mutex mutex_;                                     // Guards the members below it.
  std::shared_ptr<const shared_memory::FileDescriptor> socket_;  // Null: no connection.
  uint64_t connection_ = 0;
  bool took_memory_ = false;  // On this connection, the server.
  absl::flat_hash_map<uint64_t, std::string> handles_;
  // The regions that were sent and not answered, in that order; nullopt for those that were taken back meanwhile.
  std::deque<std::optional<uint64_t>> unanswered_;
  bool waiting_ = false;  // One thread waits for answers, for all.
  std::condition_variable nobody_waits_;
  absl::Time silent_until_ = absl::InfinitePast();
};

}  // namespace spikeserve

#endif  // SPIKESERVE_CLIENT_SHARED_MEMORY_HANDOVER_CLIENT_H_

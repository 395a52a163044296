// The networks that a server holds.

#ifndef SPIKESERVE_SERVER_RUNTIME_NETWORK_STORE_H_
#define SPIKESERVE_SERVER_RUNTIME_NETWORK_STORE_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "codec/envelope.h"
#include "runtime/limits.h"
#include "runtime/strand.h"
#include "runtime/waiting_line.h"
#include "spikeserve/compute/network.h"

namespace spikeserve::server {

// A network and what belongs to it. Its calls run on `strand`, and only they touch the members below it.
struct HeldNetwork {
  HeldNetwork(std::string name_in, std::string owner_in, Network network_in, ComputePool& pool)
      : name(std::move(name_in)),
        owner(std::move(owner_in)),
        strand(std::make_shared<Strand>(pool)),
        parameter_bytes(network_in.ByteSize()),
        network(std::move(network_in)) {}

  const std::string name;
  // The identity of whoever made it (Caller::identity), and whose alone it is.
  const std::string owner;
  const std::shared_ptr<Strand> strand;
  // The calls that wait for the strand.
  WaitingLine line{1};
  // What it took when it was made, which tells how much work a step is.
  const int64_t parameter_bytes;

  Network network;
  // The number of the next change, and the reply to the last one.
  uint64_t next_step = 0;
  std::unique_ptr<const codec::Envelope> last_reply;

  // What the network takes now, with the kept reply.
  int64_t ByteSize() const { return network.ByteSize() + (last_reply == nullptr ? 0 : last_reply->ByteSize()); }
};

// Each network is its owner's: for others it does not exist.
//
// Thread-safe.
class NetworkStore {
 public:
  struct Info {
    std::string name;
    int64_t bytes;
    absl::Duration idle;
  };

  // How many there are, and what they take.
  struct Usage {
    int64_t networks = 0;
    int64_t bytes = 0;
  };

  // `pool` must outlive the store. `clock` tells the time for expiry, of which only differences count: one that
  // somebody can set would let networks expire that were just used.
  NetworkStore(const Limits& limits, ComputePool& pool, std::function<absl::Time()> clock);

  // Keeps `network` under a new name that cannot be guessed. RESOURCE_EXHAUSTED over the limits' number or bytes.
  absl::StatusOr<std::shared_ptr<HeldNetwork>> Add(Network network, std::string_view owner);

  // Keeps a network as an earlier server held it, under its name, which none has now. It does not expire before it is
  // used, or StartIdleTimes is called. Errors: those of Add.
  absl::Status Restore(std::string name, std::string owner, Network network, uint64_t next_step,
                       std::unique_ptr<const codec::Envelope> last_reply);

  // From now on the restored networks that nobody has used count as idle: callers reach them. To restore many may take
  // longer than a network may be idle.
  void StartIdleTimes();

  // All networks, which does not count as a use of them.
  std::vector<std::shared_ptr<HeldNetwork>> All();

  // Counts as a use. NOT_FOUND where the owner has no network of that name (any more).
  absl::StatusOr<std::shared_ptr<HeldNetwork>> Find(std::string_view name, std::string_view owner);

  // NOT_FOUND where a network that was found has been removed since; no use of it.
  absl::Status CheckHeld(const HeldNetwork& held);

  // NOT_FOUND as Find.
  absl::Status Remove(std::string_view name, std::string_view owner);

  // The owner's.
  std::vector<Info> List(std::string_view owner);

  // Everybody's.
  Usage Total();

  // How many networks have expired so far.
  int64_t expired() const { return expired_; }

  // Sets what a network takes now, or is about to take. RESOURCE_EXHAUSTED where all together, or all of its owner's,
  // would then take more than the limit, unless it takes no more than before; nothing is set then. Nothing where the
  // network was removed meanwhile.
  absl::Status SetBytes(const HeldNetwork& held, int64_t bytes);

  // Removes the networks that were idle for longer than the limit. Every other call does so first; call it now and then
  // so that memory is given back without calls, too.
  void Expire();

 private:
  struct Slot {
    std::shared_ptr<HeldNetwork> held;
    int64_t bytes;
    // Infinite future: its idle time has not started.
    absl::Time last_used;
  };

  using Slots = absl::flat_hash_map<std::string, Slot>;

  // The errors of Add.
  absl::Status Insert(std::shared_ptr<HeldNetwork> held, absl::Time last_used);
  // The caller of these holds mutex_.
  void ExpireLocked();
  Slots::iterator FindLocked(std::string_view name, std::string_view owner);
  // What the owner has.
  Usage UsageLocked(std::string_view owner) const;
  // Whether `owner` may have more networks or bytes, as part of all or alone.
  absl::Status CheckBytesLocked(std::string_view field, std::string_view owner, int64_t more_bytes) const;
  absl::Status CheckCountLocked(std::string_view owner) const;
  // Counts a network or bytes more or less.
  void CountLocked(const std::string& owner, int64_t networks, int64_t bytes);

  const Limits limits_;
  ComputePool& pool_;
  const std::function<absl::Time()> clock_;
  std::atomic<int64_t> expired_{0};
  std::mutex mutex_;  // Guards the members below it.
  Slots slots_;
  Usage total_;
  absl::flat_hash_map<std::string, Usage> by_owner_;  // Of those who have networks.
};

}  // namespace spikeserve::server

#endif  // SPIKESERVE_SERVER_RUNTIME_NETWORK_STORE_H_

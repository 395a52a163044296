// The networks that a server holds.

#ifndef SPIKESERVE_SERVER_RUNTIME_NETWORK_STORE_H_
#define SPIKESERVE_SERVER_RUNTIME_NETWORK_STORE_H_

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
#include "spikeserve/compute/network.h"

namespace spikeserve::server {

// A network and what belongs to it. Its calls run on `strand`, and only they touch the members below it.
struct HeldNetwork {
  HeldNetwork(std::string name_in, Network network_in, ComputePool& pool)
      : name(std::move(name_in)),
        strand(std::make_shared<Strand>(pool)),
        parameter_bytes(network_in.ByteSize()),
        network(std::move(network_in)) {}

  const std::string name;
  const std::shared_ptr<Strand> strand;
  // What it took when it was made, which tells how much work a step is.
  const int64_t parameter_bytes;

  Network network;
  // The number of the next change, and the reply to the last one.
  uint64_t next_step = 0;
  std::unique_ptr<const codec::Envelope> last_reply;

  // What the network takes now, with the kept reply.
  int64_t ByteSize() const { return network.ByteSize() + (last_reply == nullptr ? 0 : last_reply->ByteSize()); }
};

// Thread-safe.
class NetworkStore {
 public:
  struct Info {
    std::string name;
    int64_t bytes;
    absl::Duration idle;
  };

  struct Totals {
    int64_t networks = 0;
    int64_t bytes = 0;
  };

  // `pool` must outlive the store. `clock` tells the time for expiry.
  NetworkStore(const Limits& limits, ComputePool& pool, std::function<absl::Time()> clock);

  // Keeps `network` under a new name that cannot be guessed. RESOURCE_EXHAUSTED over the limits' number or bytes.
  absl::StatusOr<std::shared_ptr<HeldNetwork>> Add(Network network);

  // Counts as a use. NOT_FOUND where there is no network of that name (any more).
  absl::StatusOr<std::shared_ptr<HeldNetwork>> Find(std::string_view name);

  // NOT_FOUND as Find.
  absl::Status Remove(std::string_view name);

  std::vector<Info> List();

  // Of all networks, whoever's they are.
  Totals totals();

  // Sets what a network takes now, or is about to take. RESOURCE_EXHAUSTED where all together would then take more than
  // the limit, unless it takes no more than before; nothing is set then. Nothing where the network was removed
  // meanwhile.
  absl::Status SetBytes(const HeldNetwork& held, int64_t bytes);

  // Removes the networks that were idle for longer than the limit. Every other call does so first; call it now and then
  // so that memory is given back without calls, too.
  void Expire();

 private:
  struct Slot {
    std::shared_ptr<HeldNetwork> held;
    int64_t bytes;
    absl::Time last_used;
  };

  // The caller holds mutex_.
  void ExpireLocked();

  const Limits limits_;
  ComputePool& pool_;
  const std::function<absl::Time()> clock_;
  std::mutex mutex_;  // Guards the members below it.
  absl::flat_hash_map<std::string, Slot> slots_;
  int64_t total_bytes_ = 0;
};

}  // namespace spikeserve::server

#endif  // SPIKESERVE_SERVER_RUNTIME_NETWORK_STORE_H_

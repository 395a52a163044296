// How long clients may take for the answers that are on their way to them.

#ifndef SPIKESERVE_SERVER_RPC_PEER_ALLOWANCES_H_
#define SPIKESERVE_SERVER_RPC_PEER_ALLOWANCES_H_

#include <algorithm>
#include <cstdint>

#include "absl/container/flat_hash_map.h"
#include "absl/time/time.h"

namespace spikeserve::rpc {

// gRPC does not tell how much of an answer is taken, only when all of it is, and it sends the answers of a connection
// in turns: of many large ones all end late. So a peer, which is a connection, has the time for all of its answers
// together: a second for each 10 MB, and `patience`. To take one of them is no reason for more: who takes a small one
// now and then could keep large ones for ever.
//
// Not thread-safe. Times are by SteadyNow.
class PeerAllowances {
 public:
  // What a peer is known by: a pointer that no other has as long as it has answers on their way.
  using Key = const void*;

  explicit PeerAllowances(absl::Duration patience) : patience_(patience) {}

  static absl::Duration TimeFor(int64_t bytes) { return absl::Seconds(static_cast<double>(bytes) / 1e7); }

  void Begin(Key peer, int64_t bytes, absl::Time now) {
    const auto [it, is_new] = peers_.try_emplace(peer);
    Peer& on = it->second;
    ++on.answers;
    on.bytes += bytes;
    on.until = is_new ? absl::InfiniteFuture() : std::max(on.until, now) + TimeFor(bytes);
    Cap(on, now);
  }

  // The answer is taken, or given up. `peer` has begun it.
  void End(Key peer, int64_t bytes, absl::Time now) {
    const auto it = peers_.find(peer);
    it->second.bytes -= bytes;
    if (--it->second.answers == 0) {
      peers_.erase(it);
    } else {
      Cap(it->second, now);
    }
  }

  // Until when `peer`, which has begun some, may take its answers.
  absl::Time Until(Key peer) const { return peers_.find(peer)->second.until; }

 private:
  struct Peer {
    int64_t answers = 0;
    int64_t bytes = 0;
    absl::Time until;
  };

  // What was not needed for earlier answers is not saved up.
  void Cap(Peer& peer, absl::Time now) const {
    peer.until = std::min(peer.until, now + patience_ + TimeFor(peer.bytes));
  }

  const absl::Duration patience_;
  absl::flat_hash_map<Key, Peer> peers_;
};

}  // namespace spikeserve::rpc

#endif  // SPIKESERVE_SERVER_RPC_PEER_ALLOWANCES_H_

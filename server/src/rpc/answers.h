// Answers on their way: the engine has made them, and their clients may not have taken them yet.

#ifndef SPIKESERVE_SERVER_RPC_ANSWERS_H_
#define SPIKESERVE_SERVER_RPC_ANSWERS_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/time/time.h"
#include "rpc/peer_allowances.h"

struct grpc_call;

namespace spikeserve::rpc {

// Thread-safe.
class Answers {
 public:
  // An answer smaller than this is not watched: it fits where the system keeps what is to be sent.
  static constexpr size_t kWatched = 64 << 10;

  // Answers that their client has not taken in the time of PeerAllowances may be given up.
  explicit Answers(absl::Duration patience) : allowances_(patience) {}

  // A call has come, and later gRPC has written its answer, or given it up: End gets what Begin has returned.
  bool Begin();
  void End(bool counted);
  // The calls that have come before Close, and are not at their end.
  int64_t open() const { return open_; }
  // Calls that come from now on are not counted.
  void Close() { closed_ = true; }

  struct Unwatch {
    Answers* answers;
    void operator()(grpc_call* call) const { answers->Sent(call); }
  };
  // Until it goes, an answer is on its way. Null for one that is not watched.
  using Watch = std::unique_ptr<grpc_call, Unwatch>;

  // gRPC is about to be given an answer of so many bytes; the result must go when it is written or given up.
  Watch Send(grpc_call* call, size_t bytes);

  // Ends the calls whose clients do not take their answers, with RESOURCE_EXHAUSTED: what those hold is free a moment
  // later. Returns how many; none where it has looked a moment ago.
  int64_t GiveUpUntaken();

 private:
  void Sent(grpc_call* call);

  std::atomic<bool> closed_{false};
  std::atomic<int64_t> open_{0};
  std::mutex mutex_;
  struct Sending {
    std::string peer;
    int64_t bytes;
  };
  // All below is guarded by mutex_. Each that is sent has a reference to its call.
  absl::flat_hash_map<grpc_call*, Sending> sending_;
  PeerAllowances allowances_;
  absl::Time next_look_ = absl::InfinitePast();
};

}  // namespace spikeserve::rpc

#endif  // SPIKESERVE_SERVER_RPC_ANSWERS_H_

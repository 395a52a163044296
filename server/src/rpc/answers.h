// Answers on their way: the engine has made them, and their clients may not have taken them yet.

#ifndef SPIKESERVE_SERVER_RPC_ANSWERS_H_
#define SPIKESERVE_SERVER_RPC_ANSWERS_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>

#include "absl/container/flat_hash_map.h"
#include "absl/time/time.h"
#include "rpc/peer_allowances.h"

struct grpc_auth_context;
struct grpc_call;

namespace spikeserve::rpc {

// Thread-safe.
class Answers {
 public:
  // To watch an answer costs a small call a few percent of its time. So those smaller than this are watched only where
  // the others that are not would take more than kUnwatchedBytes together: who takes none of them keeps no more.
  static constexpr int64_t kWatched = 64 << 10;
  static constexpr int64_t kUnwatchedBytes = 1 << 20;

  // Answers that their client has not taken in the time of PeerAllowances may be given up.
  explicit Answers(absl::Duration patience) : allowances_(patience) {}

  // A call has come, and later gRPC has written its answer, or given it up: End gets what Begin has returned.
  bool Begin();
  void End(bool counted);
  // The calls that have come before Close, and are not at their end.
  int64_t open() const { return open_; }
  // Calls that come from now on are not counted.
  void Close() { closed_ = true; }

  // How an answer on its way is known: by its call, where it is watched, or else by its bytes alone.
  struct Sending {
    grpc_call* watched = nullptr;
    int64_t unwatched_bytes = 0;
  };
  // gRPC is about to be given an answer of so many bytes, and later has written it, or given it up: Sent gets what Send
  // has returned.
  Sending Send(grpc_call* call, int64_t bytes);
  void Sent(const Sending& sending);

  // Ends the calls whose clients do not take their answers, with RESOURCE_EXHAUSTED: what those hold is free a moment
  // later. Returns how many; none where it has looked a moment ago.
  int64_t GiveUpUntaken();

 private:
  struct ReleaseContext {
    void operator()(grpc_auth_context* context) const;
  };
  struct Watched {
    PeerAllowances::Key peer() const { return connection.get(); }

    // gRPC makes one for each connection, with or without TLS, and has no other name for it: all the peers of a Unix
    // socket are "unix:" to it. No other connection gets its address while this is here.
    std::unique_ptr<grpc_auth_context, ReleaseContext> connection;
    int64_t bytes;
  };

  std::atomic<bool> closed_{false};
  std::atomic<int64_t> open_{0};
  std::atomic<int64_t> unwatched_bytes_{0};
  std::mutex mutex_;
  // All below is guarded by mutex_. Each that is watched has a reference to its call.
  absl::flat_hash_map<grpc_call*, Watched> watched_;
  PeerAllowances allowances_;
  absl::Time next_look_ = absl::InfinitePast();
};

}  // namespace spikeserve::rpc

#endif  // SPIKESERVE_SERVER_RPC_ANSWERS_H_

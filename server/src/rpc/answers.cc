#include "rpc/answers.h"

#include <utility>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "grpc/grpc.h"
#include "grpc/support/alloc.h"
#include "runtime/happens_before.h"
#include "runtime/steady_time.h"

namespace spikeserve::rpc {

bool Answers::Begin() {
  if (closed_) return false;
  ++open_;
  return true;
}

void Answers::End(bool counted) {
  server::HappensBefore(this);  // The server waits for it: see Server::Drain.
  if (counted) --open_;
}

Answers::Watch Answers::Send(grpc_call* call, size_t bytes) {
  if (bytes < kWatched) return Watch(nullptr, Unwatch{this});
  char* const peer_text = grpc_call_get_peer(call);
  const absl::Cleanup free_text = [&] { gpr_free(peer_text); };
  const auto size = static_cast<int64_t>(bytes);
  const std::lock_guard lock(mutex_);
  const auto it = sending_.try_emplace(call, Sending{peer_text, size}).first;
  absl::Cleanup forget = [&] { sending_.erase(it); };
  allowances_.Begin(it->second.peer, size, server::SteadyNow());
  std::move(forget).Cancel();
  grpc_call_ref(call);
  return Watch(call, Unwatch{this});
}

void Answers::Sent(grpc_call* call) {
  {
    const std::lock_guard lock(mutex_);
    const auto it = sending_.find(call);
    if (it == sending_.end()) return;
    allowances_.End(it->second.peer, it->second.bytes, server::SteadyNow());
    sending_.erase(it);
  }
  grpc_call_unref(call);
}

int64_t Answers::GiveUpUntaken() {
  // Whoever finds no room asks, and there may be many of both.
  constexpr absl::Duration kBetweenLooks = absl::Milliseconds(20);
  std::vector<grpc_call*> untaken;
  const absl::Time now = server::SteadyNow();
  {
    const std::lock_guard lock(mutex_);
    if (now < next_look_) return 0;
    next_look_ = now + kBetweenLooks;
    for (const auto& [call, sending] : sending_) {
      if (now >= allowances_.Until(sending.peer)) untaken.push_back(call);
    }
    // Not to be given up again while gRPC is about it; their own references stay with those below.
    for (grpc_call* call : untaken) {
      const auto it = sending_.find(call);
      allowances_.End(it->second.peer, it->second.bytes, now);
      sending_.erase(it);
    }
  }
  for (grpc_call* call : untaken) {
    // May end the call's watch, in this thread.
    grpc_call_cancel_with_status(call, GRPC_STATUS_RESOURCE_EXHAUSTED,
                                 "the answer was not taken in time (the server's --untaken-answer-timeout), and others "
                                 "need its memory (--max-bytes-in-flight)",
                                 nullptr);
    grpc_call_unref(call);
  }
  return static_cast<int64_t>(untaken.size());
}

}  // namespace spikeserve::rpc

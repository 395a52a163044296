#include "rpc/answers.h"

#include <vector>

#include "grpc/grpc.h"
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
  grpc_call_ref(call);
  const absl::Time until = server::SteadyNow() + Allowance(patience_, bytes);
  const std::lock_guard lock(mutex_);
  sending_[call] = until;
  return Watch(call, Unwatch{this});
}

void Answers::Sent(grpc_call* call) {
  {
    const std::lock_guard lock(mutex_);
    if (sending_.erase(call) == 0) return;
  }
  grpc_call_unref(call);
}

int64_t Answers::GiveUpUntaken() {
  std::vector<grpc_call*> untaken;
  const absl::Time now = server::SteadyNow();
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [call, until] : sending_) {
      if (now < until) continue;
      grpc_call_ref(call);
      untaken.push_back(call);
    }
    // Not to be given up again while gRPC is about it; their own references stay with those above.
    for (grpc_call* call : untaken) sending_.erase(call);
  }
  for (grpc_call* call : untaken) {
    // May end the call's watch, in this thread.
    grpc_call_cancel_with_status(call, GRPC_STATUS_RESOURCE_EXHAUSTED,
                                 "the answer was not taken in time (the server's --untaken-answer-timeout), and others "
                                 "need its memory (--max-bytes-in-flight)",
                                 nullptr);
    grpc_call_unref(call);
    grpc_call_unref(call);
  }
  return static_cast<int64_t>(untaken.size());
}

}  // namespace spikeserve::rpc

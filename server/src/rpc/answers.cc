#include "rpc/answers.h"

#include <utility>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "grpc/grpc.h"
#include "grpc/grpc_security.h"
#include "runtime/happens_before.h"
#include "runtime/steady_time.h"

namespace spikeserve::rpc {

void Answers::ReleaseContext::operator()(grpc_auth_context* context) const { grpc_auth_context_release(context); }

bool Answers::Begin() {
  if (closed_) return false;
  ++open_;
  return true;
}

void Answers::End(bool counted) {
  server::HappensBefore(this);  // The server waits for it: see Server::Drain.
  if (counted) --open_;
}

Answers::Sending Answers::Send(grpc_call* call, int64_t bytes) {
  if (bytes == 0) return {};
  if (bytes < kWatched) {
    if (unwatched_bytes_.fetch_add(bytes) + bytes <= kUnwatchedBytes) return {.unwatched_bytes = bytes};
    unwatched_bytes_ -= bytes;
  }
  Watched answer{decltype(Watched::connection)(grpc_call_auth_context(call)), bytes};
  const std::lock_guard lock(mutex_);
  const auto it = watched_.try_emplace(call, std::move(answer)).first;
  absl::Cleanup forget = [&] { watched_.erase(it); };
  allowances_.Begin(it->second.peer(), bytes, server::SteadyNow());
  std::move(forget).Cancel();
  grpc_call_ref(call);
  return {.watched = call};
}

void Answers::Sent(const Sending& sending) {
  unwatched_bytes_ -= sending.unwatched_bytes;
  if (sending.watched == nullptr) return;
  {
    const std::lock_guard lock(mutex_);
    const auto it = watched_.find(sending.watched);
    if (it == watched_.end()) return;
    allowances_.End(it->second.peer(), it->second.bytes, server::SteadyNow());
    watched_.erase(it);
  }
  grpc_call_unref(sending.watched);
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
    for (const auto& [call, answer] : watched_) {
      if (now >= allowances_.Until(answer.peer())) untaken.push_back(call);
    }
    // Not to be given up again while gRPC is about it; their own references stay with those below.
    for (grpc_call* call : untaken) {
      const auto it = watched_.find(call);
      allowances_.End(it->second.peer(), it->second.bytes, now);
      watched_.erase(it);
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

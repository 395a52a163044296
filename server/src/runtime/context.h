// What a handler is given besides the request.

#ifndef SPIKESERVE_SERVER_RUNTIME_CONTEXT_H_
#define SPIKESERVE_SERVER_RUNTIME_CONTEXT_H_

#include "absl/functional/function_ref.h"
#include "codec/room.h"
#include "memory/buffer_pool.h"
#include "runtime/caller.h"
#include "runtime/limits.h"
#include "runtime/network_store.h"
#include "runtime/statistics.h"
#include "runtime/wanted.h"
#include "spikeserve/compute/executor.h"

namespace spikeserve::server {

struct Context {
  const Limits& limits;
  // Computes on the server's pool. Of a call on a network it does all that it is given, because what a network is left
  // as must be whole. Of others it stops early when the call is cancelled or past its deadline: what was computed then
  // is incomplete, and is thrown away by whoever made the context.
  Executor& executor;
  NetworkStore& networks;
  // For the elements of results.
  BufferPool& buffers;
  // What the server does.
  absl::FunctionRef<Statistics()> statistics;
  const Caller& caller;
  // For what takes long on a network, and can be undone.
  const Wanted& wanted;
  // For what is decoded of requests.
  codec::Room room;
};

}  // namespace spikeserve::server

#endif  // SPIKESERVE_SERVER_RUNTIME_CONTEXT_H_

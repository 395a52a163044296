// What a handler is given besides the request.

#ifndef SPIKESERVE_SERVER_RUNTIME_CONTEXT_H_
#define SPIKESERVE_SERVER_RUNTIME_CONTEXT_H_

#include "memory/buffer_pool.h"
#include "runtime/counters.h"
#include "runtime/limits.h"
#include "runtime/network_store.h"
#include "spikeserve/compute/executor.h"

namespace spikeserve::server {

struct Context {
  const Limits& limits;
  // Computes on the server's pool, and stops early when the call is cancelled or past its deadline: what was computed
  // then is incomplete, and is thrown away by whoever made the context.
  Executor& executor;
  NetworkStore& networks;
  // For the elements of results.
  BufferPool& buffers;
  const Counters& counters;
};

}  // namespace spikeserve::server

#endif  // SPIKESERVE_SERVER_RUNTIME_CONTEXT_H_

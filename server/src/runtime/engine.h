// The server without a transport: takes calls, and computes them on its threads, within its limits.
//
// How a call goes: a transport (gRPC, or a client in the same process) calls Submit -> admission, in the caller's
// thread
// -> the pool: parse the request -> where it names a network, that network's strand -> drop it if it is cancelled or
// late
// -> the method's handler -> done.

#ifndef SPIKESERVE_SERVER_RUNTIME_ENGINE_H_
#define SPIKESERVE_SERVER_RUNTIME_ENGINE_H_

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string_view>
#include <thread>

#include "absl/status/statusor.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "runtime/compute_pool.h"
#include "runtime/limits.h"
#include "runtime/method.h"
#include "runtime/network_store.h"

namespace spikeserve::server {

struct EngineOptions {
  Limits limits;
  // The threads that compute; 0: one for each processor.
  int threads = 0;
  // Tells the time for the expiry of networks.
  std::function<absl::Time()> clock = absl::Now;
};

// One call, as a transport hands it over.
struct Call {
  // Such as "/spikeserve.v1.SpikeFunctionService/SpikeCluster".
  std::string_view path;
  // Gives the request, or an error. `prototype` is an empty message of its type. The request must live until `done` is
  // called.
  std::function<absl::StatusOr<const Message*>(const Message& prototype)> request;
  absl::Time deadline = absl::InfiniteFuture();
  // Whether the caller has given up; called from any thread until `done` is.
  std::function<bool()> cancelled = [] { return false; };
  // Called once with the response or an error, in any thread.
  std::function<void(MessageOr)> done;
};

// Thread-safe. The destructor waits for the calls that were submitted.
class Engine {
 public:
  explicit Engine(EngineOptions options);
  ~Engine();

  // Never blocks. Refusals (UNIMPLEMENTED, RESOURCE_EXHAUSTED with too many calls) reach `done` before it returns.
  void Submit(Call call);

 private:
  void Begin(const Method& method, Call call);
  void Compute(const Method& method, const Message& request, HeldNetwork* held, Call call);
  void Finish(Call& call, MessageOr result);
  void ExpireNetworks();

  const EngineOptions options_;
  std::atomic<int64_t> calls_{0};
  ComputePool pool_;
  NetworkStore networks_;
  std::mutex stop_mutex_;
  bool stopping_ = false;  // Guarded by stop_mutex_.
  std::condition_variable stop_;
  std::thread expirer_;
};

}  // namespace spikeserve::server

#endif  // SPIKESERVE_SERVER_RUNTIME_ENGINE_H_

// The server without a transport: takes calls, and computes them on its threads, within its limits.
//
// How a call goes: a transport (gRPC, or a client in the same process) calls Submit -> admission, in the caller's
// thread
// -> the pool: parse the request -> where it names a network, that network's strand -> drop it if it is cancelled or
// late -> the method's handler -> respond -> the observer -> finish. A small call skips the pool: to wake another
// thread would take longer than the call. A stream's messages go the same way, one after the other: see stream.h.

#ifndef SPIKESERVE_SERVER_RUNTIME_ENGINE_H_
#define SPIKESERVE_SERVER_RUNTIME_ENGINE_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "codec/envelope.h"
#include "memory/buffer_pool.h"
#include "runtime/admission.h"
#include "runtime/call_observer.h"
#include "runtime/call_statistics.h"
#include "runtime/caller.h"
#include "runtime/compute_pool.h"
#include "runtime/counters.h"
#include "runtime/event.h"
#include "runtime/limits.h"
#include "runtime/method.h"
#include "runtime/network_store.h"
#include "runtime/periodic_thread.h"
#include "runtime/statistics.h"
#include "runtime/steady_time.h"
#include "runtime/stream.h"
#include "runtime/wanted.h"

namespace spikeserve::server {

struct EngineOptions {
  Limits limits;
  // The threads that compute; 0: one for each processor.
  int threads = 0;
  // Tells the time for the expiry of networks: see NetworkStore.
  std::function<absl::Time()> clock = SteadyNow;
  // The callers that are known from the start, such as the names of the tokens: see CallStatistics.
  std::vector<std::string> identities = {};
  // Is told of every call; null: nobody is. Must outlive the engine.
  CallObserver* observer = nullptr;
  // Called, from any thread, where there is no room for more bytes in flight: gives up answers that the transport's
  // clients do not take, and returns how many.
  std::function<int64_t()> give_up_untaken = [] { return 0; };
  // Networks expire.
  EventSink events = [](const Event&) {};
};

// One call, as a transport hands it over.
struct Call {
  // Such as "/spikeserve.v1.SpikeFunctionService/SpikeCluster".
  std::string_view path;
  Caller caller;
  // Gives the request, or an error. `prototype` is an empty message of its type, `buffers` the place for its tensors'
  // elements. The request must live until `finish` is called.
  std::function<absl::StatusOr<const codec::Envelope*>(const Message& prototype, BufferPool& buffers)> request;
  // Whether a call that takes next to no time may be computed in the thread that submits it, and the bytes of the
  // request, which tell whether it is worth a look.
  bool may_compute_at_once = false;
  size_t request_bytes = 0;
  absl::Time deadline = absl::InfiniteFuture();
  // Whether the caller has given up; called from any thread until `finish` is.
  std::function<bool()> cancelled = [] { return false; };
  // Called once with the response or an error, in any thread: makes it ready to go, and returns how the call ends.
  std::function<absl::Status(EnvelopeOr)> respond;
  // Ends the call, with what `respond` returned. Called once, as the last thing that the engine does for the call.
  std::function<void(const absl::Status&)> finish;
};

// The same of a streaming call.
struct StreamingCall {
  // Such as "/spikeserve.v1.SpikeStreamService/StreamSpikeCluster".
  std::string_view path;
  Caller caller;
  absl::Time deadline = absl::InfiniteFuture();
  // What it refers to must live until the transport's Finish is called.
  std::function<bool()> cancelled = [] { return false; };
};

// The error of a call of a method that there is none of.
absl::Status UnknownMethod(std::string_view path);

// Thread-safe. The destructor waits for the calls that were submitted.
class Engine {
 public:
  explicit Engine(EngineOptions options);
  ~Engine();

  // Never blocks. Refusals (UNIMPLEMENTED, RESOURCE_EXHAUSTED with too much to do), and calls that may be computed at
  // once, are finished before it returns.
  void Submit(Call call);

  // A stream for the call, to be started by who opens it; it counts as a call until it is destroyed. Errors: those of
  // Submit. `transport` must live until Finish was called on it.
  absl::StatusOr<std::shared_ptr<Stream>> OpenStream(StreamingCall call, StreamTransport& transport);

  // The server is about to end, though it goes on serving until Drain.
  void AnnounceDrain() { drain_announced_ = true; }
  // From now on calls are refused with UNAVAILABLE, and streams on networks, which have no end of their own, are ended
  // with that when all that they have read is answered. Waits until no call is in progress, or for `timeout`. Then the
  // calls that are left are ended with UNAVAILABLE, which takes them some milliseconds; returns how many there were.
  int64_t Drain(absl::Duration timeout);

  // Counts bytes of an answer among those in flight, beside what is in the pool's buffers, until they are released.
  void CountAnswer(int64_t bytes) { admission_.Count(bytes); }
  void ReleaseAnswer(int64_t bytes) { admission_.Release(bytes); }

  // Tells the observer of a call of `path` (empty: of no method of the server) from `peer` that its transport refused
  // with `status`: who makes it is not known.
  void ReportRefusal(std::string_view path, std::string peer, const absl::Status& status);

  const Limits& limits() const { return options_.limits; }
  BufferPool& buffers() { return buffers_; }
  NetworkStore& networks() { return networks_; }

  Statistics statistics();

 private:
  class Host;
  struct Job;
  using Request = absl::StatusOr<const codec::Envelope*>;

  // Takes a call, until admission_.End.
  absl::Status Begin();
  // Has the pool compute the call, where there is room for it; `request`, where it is read already. (What is computed
  // at once needs neither a turn nor, but for the last of it, room: so a server that has enough to do still tells its
  // statistics.)
  void Queue(const Method& method, const codec::Envelope* request, Job job);
  Request Parse(const Method& method, Job& job);
  // What was parsed may take much more than its bytes did; 0 for what cannot.
  static int64_t ParsedBytes(const codec::Envelope& request, const Job& job);
  void Proceed(const Method& method, Request request, Job job);
  void Compute(const Method& method, const codec::Envelope& request, HeldNetwork* held, Executor& threads, Job job);
  // Calls `fn` with the context of work on `held` (null: on no network) for the caller, until nobody wants it any more.
  template <typename Fn>
  auto WithContext(const Caller& caller, const Wanted& wanted, int64_t own_bytes, const HeldNetwork* held,
                   Executor& threads, Fn fn) -> decltype(fn(std::declval<Context&>()));
  // Ends a call that was admitted.
  void End(Job& job, EnvelopeOr result);
  void Respond(Job& job, EnvelopeOr result);
  void Report(const CallReport& report);

  // Streams that have not ended.
  std::vector<std::shared_ptr<Stream>> Streams();
  // Removes the networks that nobody used, and tells of it.
  void ExpireNetworks();
  // Waits until no call is in progress, or for `timeout`. Returns how many there are still.
  int64_t AwaitCalls(absl::Duration timeout);

  const EngineOptions options_;
  Counters counters_;
  CallStatistics calls_;
  BufferPool buffers_;
  ComputePool pool_;
  Admission admission_;
  NetworkStore networks_;
  std::mutex streams_mutex_;
  // Guarded by streams_mutex_.
  absl::flat_hash_map<Stream*, std::weak_ptr<Stream>> streams_;
  std::atomic<bool> drain_announced_ = false;
  std::atomic<bool> draining_ = false;
  // The calls that are left are waited for no longer.
  std::atomic<bool> ending_ = false;
  int64_t expired_told_ = 0;  // Of expirer_ alone.
  PeriodicThread expirer_;
};

}  // namespace spikeserve::server

#endif  // SPIKESERVE_SERVER_RUNTIME_ENGINE_H_

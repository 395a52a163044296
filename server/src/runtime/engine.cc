#include "runtime/engine.h"

#include <algorithm>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "runtime/at_once.h"
#include "runtime/guarded.h"
#include "runtime/retry_after.h"
#include "runtime/stopwatch.h"
#include "spikeserve/compute/field_error.h"
#include "spikeserve/compute/stopping_executor.h"
#include "status_macros.h"

namespace spikeserve::server {
namespace {

// What is decoded for a call counts among the bytes in flight while it computes.
class DecodedBytes final : public codec::Memory {
 public:
  // `request`: what the call takes already.
  DecodedBytes(Admission& admission, const server::Wanted& wanted, int64_t request)
      : admission_(admission), wanted_(wanted), request_(request) {}
  ~DecodedBytes() override { admission_.Release(taken_); }

  absl::Status Take(int64_t bytes) override {
    SPIKESERVE_RETURN_IF_ERROR(admission_.Hold(bytes, request_ + taken_));
    taken_ += bytes;
    return absl::OkStatus();
  }
  absl::Status Expect(int64_t bytes) override {
    SPIKESERVE_RETURN_IF_ERROR(admission_.Hold(bytes, request_ + taken_));
    admission_.Release(bytes);
    return absl::OkStatus();
  }

  absl::Status Wanted() override { return wanted_(); }

 private:
  Admission& admission_;
  const server::Wanted& wanted_;
  const int64_t request_;
  int64_t taken_ = 0;
};

// The options, with the number of threads there are to be in place of 0.
EngineOptions WithThreads(EngineOptions options) {
  if (options.threads <= 0) options.threads = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  return options;
}

// That calls which are ended get to notice it, on a machine with more to do than it can, too. What does not ends as
// gRPC ends it: with CANCELLED.
constexpr absl::Duration kLastWords = absl::Seconds(5);

}  // namespace

absl::Status UnknownMethod(std::string_view path) {
  constexpr size_t kMaxShown = 200;
  return absl::UnimplementedError(absl::StrCat("no method ",
                                               absl::CHexEscape({path.data(), std::min(path.size(), kMaxShown)}),
                                               "; need one of spikeserve.v1, as server reflection lists them"));
}

// A call on its way through the engine.
struct Engine::Job {
  Job(Call call_in, const std::atomic<bool>& ending)
      : wanted(call_in.deadline, std::move(call_in.cancelled), &ending), call(std::move(call_in)) {}

  Wanted wanted;
  Call call;
  Stopwatch watch;
  CallTimes times;
  // What it was expected to take when it last went into a line.
  absl::Duration cost;
  int64_t held_bytes = 0;
  bool refused = false;
};

Engine::Engine(EngineOptions options)
    : options_(WithThreads(std::move(options))),
      calls_(options_.identities),
      buffers_(options_.limits.max_idle_buffer_bytes),
      pool_(options_.threads),
      admission_(options_.limits, options_.threads, buffers_, counters_,
                 [this] { counters_.answers_given_up += options_.give_up_untaken(); }),
      networks_(options_.limits, pool_, options_.clock),
      expirer_(std::clamp(options_.limits.network_idle_timeout / 4, absl::Milliseconds(100), absl::Seconds(10)),
               [this] { ExpireNetworks(); }) {
  counters_.threads = options_.threads;
}

// Tasks use the members that would go before the pool.
Engine::~Engine() { pool_.Wait(); }

void Engine::Submit(Call call) {
  Job job(std::move(call), ending_);
  const auto method = Methods().find(absl::string_view(job.call.path.data(), job.call.path.size()));
  if (method == Methods().end()) {
    absl::Status unknown = UnknownMethod(std::exchange(job.call.path, {}));
    return Respond(job, std::move(unknown));
  }
  if (absl::Status begun = Begin(); !begun.ok()) {
    job.refused = true;
    return Respond(job, std::move(begun));
  }
  if (job.call.may_compute_at_once && method->second.work != nullptr && job.call.request_bytes <= kSmallRequest) {
    Request request = Parse(method->second, job);
    if (!request.ok()) return End(job, request.status());
    // Neither shared memory nor what events stand for is among the request's bytes, and not all of it is work.
    if (method->second.work(**request) <= kSmallWork && (*request)->ElementBytes() <= kSmallRequest &&
        (*request)->Elements() <= kSmallWork && admission_.HasRoomForSmall()) {
      ++counters_.calls_accepted;
      return Compute(method->second, **request, nullptr, InlineExecutor(), std::move(job));
    }
    return Queue(method->second, &**request, std::move(job));
  }
  Queue(method->second, nullptr, std::move(job));
}

void Engine::Queue(const Method& method, const codec::Envelope* request, Job job) {
  const int64_t bytes = std::max<int64_t>(job.call.request_bytes, request == nullptr ? 0 : ParsedBytes(*request, job));
  absl::Status room = admission_.Hold(bytes);
  if (room.ok()) {
    job.held_bytes = bytes;
    room = admission_.Enter(method, job.cost);
  }
  if (!room.ok()) {
    job.refused = true;
    return End(job, std::move(room));
  }
  ++counters_.calls_accepted;
  pool_.Submit([this, &method, request, job = std::move(job)]() mutable {
    admission_.Leave(job.cost);
    job.times.queue += job.watch.Lap();
    if (absl::Status wanted = job.wanted(); !wanted.ok()) return End(job, std::move(wanted));
    Request read = request != nullptr ? Request(request) : Parse(method, job);
    Proceed(method, std::move(read), std::move(job));
  });
}

// The engine as a stream sees it.
class Engine::Host final : public StreamHost {
 public:
  Host(Engine& engine, const StreamMethod& method, StreamingCall call)
      : engine_(engine),
        method_(method),
        wanted_(call.deadline, std::move(call.cancelled), &engine.ending_),
        call_(std::move(call)) {}

  void Submit(std::function<void()> task) override {
    Admission& admission = engine_.admission_;
    // The stream may be gone when its task returns.
    engine_.pool_.Submit([&admission, &method = method_, cost = admission.Join(method_), task = std::move(task)] {
      admission.Leave(cost);
      Stopwatch watch;
      task();
      admission.Learn(method, watch.Lap());
    });
  }

  absl::StatusOr<std::shared_ptr<HeldNetwork>> FindNetwork(const std::string& name) override {
    return engine_.networks_.Find(name, call_.caller.identity);
  }

  absl::Status Compute(HeldNetwork* held, bool at_once, absl::FunctionRef<absl::Status(Context&)> fn) override {
    Stopwatch watch;
    const absl::Cleanup count = [&] { times_.compute += watch.Lap(); };
    const Wanted wanted_now = wanted_.For(engine_.options_.limits.max_compute_time);
    if (absl::Status wanted = wanted_now(); !wanted.ok()) return wanted;
    // As for calls: what takes little needs next to no room.
    if (!at_once || !engine_.admission_.HasRoomForSmall()) {
      SPIKESERVE_RETURN_IF_ERROR(Noted(engine_.admission_.CheckRoom()));
    }
    absl::Status status = engine_.WithContext(call_.caller, wanted_now, /*own_bytes=*/0, held,
                                              at_once ? InlineExecutor() : static_cast<Executor&>(engine_.pool_), fn);
    // As for calls: only what is done to no network may have stopped half-way.
    if (held == nullptr) {
      if (absl::Status wanted = wanted_now(); !wanted.ok()) return wanted;
    }
    // What it was to be computed with found no room.
    if (!status.ok() && RetryAfterOf(status)) refused_ = true;
    return status;
  }

  absl::Status Hold(int64_t bytes) override {
    SPIKESERVE_RETURN_IF_ERROR(Noted(engine_.admission_.Hold(bytes)));
    request_bytes_ += bytes;
    return absl::OkStatus();
  }
  void Release(int64_t bytes) override { engine_.admission_.Release(bytes); }
  absl::Status Keep(int64_t bytes) override { return Noted(engine_.admission_.Hold(bytes)); }
  void Count(int64_t bytes) override { engine_.admission_.Count(bytes); }

  void OnEnd(const absl::Status& status, bool in_order) override {
    engine_.Report({.path = call_.path,
                    .caller = call_.caller,
                    .status = status,
                    .refused = refused_,
                    .in_order = in_order,
                    .times = times_,
                    .total = watch_.Total(),
                    .request_bytes = request_bytes_});
  }

 private:
  // What the admission says, of which it is remembered that it was no.
  absl::Status Noted(absl::Status status) {
    if (!status.ok()) refused_ = true;
    return status;
  }

  Engine& engine_;
  const StreamMethod& method_;
  const Wanted wanted_;
  const StreamingCall call_;
  const Stopwatch watch_;
  // Only touched by the stream's work, and after it.
  CallTimes times_;
  int64_t request_bytes_ = 0;
  // A message, or what is kept of one, found no room.
  std::atomic<bool> refused_ = false;
};

absl::StatusOr<std::shared_ptr<Stream>> Engine::OpenStream(StreamingCall call, StreamTransport& transport) {
  const auto method = StreamMethods().find(absl::string_view(call.path.data(), call.path.size()));
  if (method == StreamMethods().end()) {
    absl::Status unknown = UnknownMethod(call.path);
    Report({.path = {}, .caller = call.caller, .status = unknown});
    return unknown;
  }
  absl::Status admitted = Begin();
  if (!admitted.ok()) {
    Report({.path = call.path, .caller = call.caller, .status = admitted, .refused = true});
    return admitted;
  }
  ++counters_.calls_accepted;
  ++counters_.streams;
  const std::shared_ptr<Stream> stream(
      new Stream(method->second, transport, std::make_unique<Host>(*this, method->second, std::move(call))),
      [this](Stream* ended) {
        {
          const std::lock_guard lock(streams_mutex_);
          streams_.erase(ended);
        }
        delete ended;
        --counters_.streams;
        admission_.End();
      });
  const std::lock_guard lock(streams_mutex_);
  streams_[stream.get()] = stream;
  if (draining_) stream->EndWhenIdle();
  return stream;
}

int64_t Engine::Drain(absl::Duration timeout) {
  draining_ = true;
  for (const auto& stream : Streams()) stream->EndWhenIdle();
  const int64_t left = AwaitCalls(timeout);
  if (left == 0) return 0;
  ending_ = true;
  for (const auto& stream : Streams()) {
    stream->End(absl::UnavailableError("the server ends, and the stream took longer than its --drain-timeout"));
  }
  AwaitCalls(kLastWords);
  return left;
}

int64_t Engine::AwaitCalls(absl::Duration timeout) {
  const Stopwatch watch;
  for (;;) {
    const int64_t calls = counters_.calls_in_progress;
    if (calls == 0 || watch.Total() >= timeout) return calls;
    absl::SleepFor(absl::Milliseconds(1));
  }
}

std::vector<std::shared_ptr<Stream>> Engine::Streams() {
  std::vector<std::shared_ptr<Stream>> streams;
  const std::lock_guard lock(streams_mutex_);
  for (const auto& [stream, weak] : streams_) {
    if (std::shared_ptr<Stream> alive = weak.lock()) streams.push_back(std::move(alive));
  }
  return streams;
}

void Engine::ExpireNetworks() {
  networks_.Expire();
  // Those included that expired in the course of a call.
  const int64_t expired = networks_.expired();
  const int64_t more = expired - std::exchange(expired_told_, expired);
  if (more == 0) return;
  options_.events(
      {Severity::kInfo,
       "networks removed: they had no calls for --network-idle-timeout",
       {{"networks", more}, {"network_idle_timeout_s", absl::ToDoubleSeconds(options_.limits.network_idle_timeout)}}});
}

absl::Status Engine::Begin() {
  const auto draining = [] { return absl::UnavailableError("the server is draining"); };
  if (draining_) return draining();
  SPIKESERVE_RETURN_IF_ERROR(admission_.Begin());
  // In this order: Drain, which does it in the other one, sees the call, or the call sees that.
  if (!draining_) return absl::OkStatus();
  admission_.End();
  return draining();
}

Engine::Request Engine::Parse(const Method& method, Job& job) {
  Request request = Guarded([&] { return job.call.request(*method.request_prototype, buffers_); });
  job.times.decode = job.watch.Lap();
  return request;
}

int64_t Engine::ParsedBytes(const codec::Envelope& request, const Job& job) {
  return job.call.request_bytes > kTinyRequest ? request.BytesBesideElements() : 0;
}

void Engine::Proceed(const Method& method, Request request, Job job) {
  if (!request.ok()) return End(job, request.status());
  // What is in the pool's buffers counts there by now, and the bytes that it was read from are gone.
  const int64_t pooled = std::min(job.held_bytes, static_cast<int64_t>((*request)->PooledBytes()));
  const int64_t bytes = std::max(job.held_bytes - pooled, ParsedBytes(**request, job));
  admission_.Count(bytes - job.held_bytes);
  job.held_bytes = bytes;
  if (method.network_of == nullptr) return Compute(method, **request, nullptr, pool_, std::move(job));

  absl::StatusOr<std::shared_ptr<HeldNetwork>> held =
      networks_.Find(method.network_of(**request), job.call.caller.identity);
  if (!held.ok()) return End(job, held.status());
  if (absl::Status entered = admission_.Enter(method, (*held)->line, job.cost); !entered.ok()) {
    job.refused = true;
    return End(job, std::move(entered));
  }
  const std::shared_ptr<Strand> strand = (*held)->strand;
  // This is a thread of the pool already.
  strand->RunOrPost([this, &method, &request = **request, held = *std::move(held), job = std::move(job)]() mutable {
    admission_.Leave(held->line, job.cost);
    Compute(method, request, held.get(), pool_, std::move(job));
  });
}

void Engine::Compute(const Method& method, const codec::Envelope& request, HeldNetwork* held, Executor& threads,
                     Job job) {
  job.times.queue += job.watch.Lap();
  const int64_t own_bytes = job.held_bytes + static_cast<int64_t>(request.PooledBytes());
  if (&threads == &pool_) {
    if (absl::Status room = admission_.CheckRoom(own_bytes); !room.ok()) {
      job.refused = true;
      return End(job, std::move(room));
    }
  }
  job.wanted = job.wanted.For(options_.limits.max_compute_time);
  if (absl::Status wanted = job.wanted(); !wanted.ok()) return End(job, std::move(wanted));
  EnvelopeOr result = WithContext(job.call.caller, job.wanted, own_bytes, held, threads, [&](Context& context) {
    const std::optional<codec::Envelope> copy = codec::CopyShared(request, method.in_place, buffers_);
    return method.handle(copy ? *copy : request, held, context);
  });
  // A handler on a network has carried out all, or nothing; others may have stopped half-way.
  if (held == nullptr) {
    if (absl::Status wanted = job.wanted(); !wanted.ok()) result = std::move(wanted);
  }
  // What it was to be computed with found no room.
  if (!result.ok() && RetryAfterOf(result.status())) job.refused = true;
  job.times.compute = job.watch.Lap();
  // What is computed at once is another kind of call.
  if (&threads == &pool_) admission_.Learn(method, job.times.compute);
  End(job, std::move(result));
}

template <typename Fn>
auto Engine::WithContext(const Caller& caller, const Wanted& wanted, int64_t own_bytes, const HeldNetwork* held,
                         Executor& threads, Fn fn) -> decltype(fn(std::declval<Context&>())) {
  // It may have been deleted while the call, or the message, waited for it.
  if (held != nullptr) SPIKESERVE_RETURN_IF_ERROR(networks_.CheckHeld(*held));
  // Not for what changes a network: half of a change is worse than one that nobody waits for.
  StoppingExecutor stopping(threads, wanted);
  Executor& executor = held == nullptr ? stopping : threads;
  const auto read_statistics = [this] { return statistics(); };
  DecodedBytes decoded(admission_, wanted, own_bytes);
  Context context{options_.limits, executor, networks_, buffers_,
                  read_statistics, caller,   wanted,    {options_.limits.max_decoded_bytes, decoded}};
  return Guarded([&] { return fn(context); });
}

void Engine::End(Job& job, EnvelopeOr result) {
  admission_.Release(job.held_bytes);
  admission_.End();
  Respond(job, std::move(result));
}

void Engine::Respond(Job& job, EnvelopeOr result) {
  const Call& call = job.call;
  const absl::Status status = call.respond(std::move(result));
  job.times.encode = job.watch.Lap();
  Report({.path = call.path,
          .caller = call.caller,
          .status = status,
          .refused = job.refused,
          .times = job.times,
          .total = job.watch.Total(),
          .request_bytes = static_cast<int64_t>(call.request_bytes)});
  call.finish(status);  // The engine may be gone when this returns.
}

void Engine::ReportRefusal(std::string_view path, std::string peer, const absl::Status& status) {
  const Caller unknown{.peer = std::move(peer)};
  Report({.path = path, .caller = unknown, .status = status});
}

void Engine::Report(const CallReport& report) {
  calls_.Record(report);
  if (options_.observer != nullptr) options_.observer->OnEnd(report);
}

Statistics Engine::statistics() {
  return {.uptime = counters_.since_start.Total(),
          .threads = counters_.threads,
          .calls_in_progress = counters_.calls_in_progress,
          .calls_accepted = counters_.calls_accepted,
          .calls_refused = counters_.calls_refused,
          .draining = drain_announced_ || draining_,
          .answers_given_up = counters_.answers_given_up,
          .streams = counters_.streams,
          .bytes_in_flight = admission_.bytes_in_flight(),
          .tasks_waiting = pool_.waiting(),
          .networks = networks_.Total(),
          .networks_expired = networks_.expired(),
          .buffers = buffers_.statistics(),
          .methods = calls_.ReadMethods(),
          .identities = calls_.ReadIdentities()};
}

}  // namespace spikeserve::server

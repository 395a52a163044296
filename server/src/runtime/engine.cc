#include "runtime/engine.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "runtime/at_once.h"
#include "runtime/guarded.h"
#include "runtime/stopwatch.h"
#include "spikeserve/compute/field_error.h"

namespace spikeserve::server {
namespace {

// Gives a call threads until it is no longer wanted. Not one that changes a network: half of a change is worse than one
// that nobody waits for.
class CallExecutor : public Executor {
 public:
  CallExecutor(Executor& threads, const Wanted& wanted) : threads_(threads), wanted_(wanted) {}

  void ParallelFor(int64_t count, int64_t grain, absl::FunctionRef<void(int64_t, int64_t)> body) override {
    threads_.ParallelFor(count, grain, [&](int64_t begin, int64_t end) {
      for (int64_t b = begin; b < end; b += grain) {
        if (!wanted_.Check().ok()) return;
        body(b, std::min(b + grain, end));
      }
    });
  }

 private:
  Executor& threads_;
  const Wanted& wanted_;
};

int ThreadCount(int wanted) {
  return wanted > 0 ? wanted : std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

}  // namespace

// A call on its way through the engine.
struct Engine::Job {
  explicit Job(Call call_in) : wanted(call_in.deadline, std::move(call_in.cancelled)), call(std::move(call_in)) {}

  Wanted wanted;
  Call call;
  Stopwatch watch;
  CallTimes times;
};

Engine::Engine(EngineOptions options)
    : options_(std::move(options)),
      calls_(options_.identities),
      buffers_(options_.limits.max_idle_buffer_bytes),
      pool_(ThreadCount(options_.threads)),
      networks_(options_.limits, pool_, options_.clock),
      expirer_([this] { ExpireNetworks(); }) {
  counters_.threads = ThreadCount(options_.threads);
}

Engine::~Engine() {
  {
    const std::lock_guard lock(stop_mutex_);
    stopping_ = true;
  }
  stop_.notify_all();
  expirer_.join();
  pool_.Wait();  // Tasks use the members that would go before the pool.
}

void Engine::Submit(Call call) {
  Job job(std::move(call));
  const auto method = Methods().find(absl::string_view(job.call.path.data(), job.call.path.size()));
  if (method == Methods().end()) {
    absl::Status unknown = absl::UnimplementedError(absl::StrCat("no method ", std::string(job.call.path)));
    job.call.path = {};
    return Respond(job, std::move(unknown), /*refused=*/false);
  }
  if (absl::Status admitted = Admit(); !admitted.ok()) return Respond(job, std::move(admitted), /*refused=*/true);
  if (job.call.may_compute_at_once && method->second.work != nullptr && job.call.request_bytes <= kSmallRequest) {
    Request request = Parse(method->second, job);
    if (!request.ok()) return End(job, request.status());
    // Shared memory is not among the request's bytes.
    if (method->second.work(**request) <= kSmallWork && (*request)->ElementBytes() <= kSmallRequest) {
      return Compute(method->second, **request, nullptr, InlineExecutor(), std::move(job));
    }
    return pool_.Submit([this, &method = method->second, &request = **request, job = std::move(job)]() mutable {
      Begin(method, &request, std::move(job));
    });
  }
  pool_.Submit([this, &method = method->second, job = std::move(job)]() mutable {
    job.times.queue += job.watch.Lap();
    Request request = Parse(method, job);
    Begin(method, std::move(request), std::move(job));
  });
}

absl::Status Engine::Admit() {
  if (counters_.calls_in_progress.fetch_add(1) < options_.limits.max_calls) {
    ++counters_.calls_accepted;
    return absl::OkStatus();
  }
  --counters_.calls_in_progress;
  ++counters_.calls_refused;
  return absl::ResourceExhaustedError(
      absl::StrCat("calls: ", options_.limits.max_calls, " wait or compute already; need fewer than ",
                   options_.limits.max_calls, " (the server's --max-calls); try again later"));
}

// The engine as a stream sees it.
class Engine::Host final : public StreamHost {
 public:
  Host(Engine& engine, StreamingCall call)
      : engine_(engine), wanted_(call.deadline, std::move(call.cancelled)), call_(std::move(call)) {}

  void Submit(std::function<void()> task) override { engine_.pool_.Submit(std::move(task)); }

  absl::StatusOr<std::shared_ptr<HeldNetwork>> FindNetwork(const std::string& name) override {
    return engine_.networks_.Find(name);
  }

  absl::Status Compute(HeldNetwork* held, bool at_once, absl::FunctionRef<absl::Status(Context&)> fn) override {
    Stopwatch watch;
    const absl::Cleanup count = [&] { times_.compute += watch.Lap(); };
    if (absl::Status wanted = wanted_.Check(); !wanted.ok()) return wanted;
    absl::Status status = engine_.WithContext(call_.caller, wanted_, held,
                                              at_once ? InlineExecutor() : static_cast<Executor&>(engine_.pool_), fn);
    if (absl::Status wanted = wanted_.Check(); !wanted.ok()) return wanted;
    return status;
  }

  void OnMessage(size_t bytes) override { request_bytes_ += static_cast<int64_t>(bytes); }

  void OnEnd(const absl::Status& status) override {
    engine_.Report({.path = call_.path,
                    .caller = call_.caller,
                    .status = status,
                    .times = times_,
                    .total = watch_.Total(),
                    .request_bytes = request_bytes_});
  }

 private:
  Engine& engine_;
  const Wanted wanted_;
  const StreamingCall call_;
  const Stopwatch watch_;
  // Only touched by the stream's work, and after it.
  CallTimes times_;
  int64_t request_bytes_ = 0;
};

absl::StatusOr<std::shared_ptr<Stream>> Engine::OpenStream(StreamingCall call, StreamTransport& transport) {
  const auto method = StreamMethods().find(absl::string_view(call.path.data(), call.path.size()));
  if (method == StreamMethods().end()) {
    absl::Status unknown = absl::UnimplementedError(absl::StrCat("no method ", std::string(call.path)));
    Report({.path = {}, .caller = call.caller, .status = unknown});
    return unknown;
  }
  if (absl::Status admitted = Admit(); !admitted.ok()) {
    Report({.path = call.path, .caller = call.caller, .status = admitted, .refused = true});
    return admitted;
  }
  ++counters_.streams;
  auto* stream = new Stream(method->second, transport, std::make_unique<Host>(*this, std::move(call)));
  return std::shared_ptr<Stream>(stream, [this](Stream* ended) {
    delete ended;
    --counters_.streams;
    --counters_.calls_in_progress;
  });
}

Engine::Request Engine::Parse(const Method& method, Job& job) {
  Request request = Guarded([&] { return job.call.request(*method.request_prototype, buffers_); });
  job.times.decode = job.watch.Lap();
  return request;
}

void Engine::Begin(const Method& method, Request request, Job job) {
  if (!request.ok()) return End(job, request.status());
  if (method.network_of == nullptr) return Compute(method, **request, nullptr, pool_, std::move(job));

  absl::StatusOr<std::shared_ptr<HeldNetwork>> held = networks_.Find(method.network_of(**request));
  if (!held.ok()) return End(job, held.status());
  const std::shared_ptr<Strand> strand = (*held)->strand;
  // This is a thread of the pool already.
  strand->RunOrPost([this, &method, &request = **request, held = *std::move(held), job = std::move(job)]() mutable {
    Compute(method, request, held.get(), pool_, std::move(job));
  });
}

void Engine::Compute(const Method& method, const codec::Envelope& request, HeldNetwork* held, Executor& threads,
                     Job job) {
  job.times.queue += job.watch.Lap();
  if (absl::Status wanted = job.wanted.Check(); !wanted.ok()) return End(job, std::move(wanted));
  EnvelopeOr result = WithContext(job.call.caller, job.wanted, held, threads, [&](Context& context) {
    const std::optional<codec::Envelope> copy = codec::CopyShared(request, method.in_place, buffers_);
    return method.handle(copy ? *copy : request, held, context);
  });
  // A handler on a network has carried out all; others may have stopped half-way.
  if (held == nullptr) {
    if (absl::Status wanted = job.wanted.Check(); !wanted.ok()) result = std::move(wanted);
  }
  job.times.compute = job.watch.Lap();
  End(job, std::move(result));
}

template <typename Fn>
auto Engine::WithContext(const Caller& caller, const Wanted& wanted, const HeldNetwork* held, Executor& threads, Fn fn)
    -> decltype(fn(std::declval<Context&>())) {
  CallExecutor stopping(threads, wanted);
  Executor& executor = held == nullptr ? stopping : threads;
  const auto read_statistics = [this] { return statistics(); };
  Context context{options_.limits, executor, networks_, buffers_, read_statistics, caller, wanted};
  return Guarded([&] { return fn(context); });
}

void Engine::End(Job& job, EnvelopeOr result) {
  --counters_.calls_in_progress;
  Respond(job, std::move(result), /*refused=*/false);
}

void Engine::Respond(Job& job, EnvelopeOr result, bool refused) {
  const Call& call = job.call;
  const absl::Status status = call.respond(std::move(result));
  job.times.encode = job.watch.Lap();
  Report({.path = call.path,
          .caller = call.caller,
          .status = status,
          .refused = refused,
          .times = job.times,
          .total = job.watch.Total(),
          .request_bytes = static_cast<int64_t>(call.request_bytes)});
  call.finish(status);  // The engine may be gone when this returns.
}

void Engine::Report(const CallReport& report) {
  calls_.Record(report);
  if (options_.observer != nullptr) options_.observer->OnEnd(report);
}

Statistics Engine::statistics() {
  return {.uptime = absl::Now() - counters_.start,
          .threads = counters_.threads,
          .calls_in_progress = counters_.calls_in_progress,
          .calls_accepted = counters_.calls_accepted,
          .calls_refused = counters_.calls_refused,
          .streams = counters_.streams,
          .tasks_waiting = pool_.waiting(),
          .networks = networks_.totals(),
          .buffers = buffers_.statistics(),
          .methods = calls_.ReadMethods(),
          .identities = calls_.ReadIdentities()};
}

void Engine::ExpireNetworks() {
  const absl::Duration period =
      std::clamp(options_.limits.network_idle_timeout / 4, absl::Milliseconds(100), absl::Seconds(10));
  std::unique_lock lock(stop_mutex_);
  while (!stop_.wait_for(lock, absl::ToChronoNanoseconds(period), [this] { return stopping_; })) networks_.Expire();
}

}  // namespace spikeserve::server

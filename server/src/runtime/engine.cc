#include "runtime/engine.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "runtime/at_once.h"
#include "runtime/guarded.h"
#include "spikeserve/compute/field_error.h"

namespace spikeserve::server {
namespace {

// Why a call is not worth computing (any more).
absl::Status CheckWanted(const Call& call) {
  if (call.cancelled()) return absl::CancelledError("the caller cancelled the call");
  if (absl::Now() >= call.deadline) {
    return absl::DeadlineExceededError("the call's deadline passed before it was computed");
  }
  return absl::OkStatus();
}

// Gives a call threads until it is no longer wanted. Not one that changes a network: half of a change is worse than one
// that nobody waits for.
class CallExecutor : public Executor {
 public:
  CallExecutor(Executor& threads, const Call& call) : threads_(threads), call_(call) {}

  void ParallelFor(int64_t count, int64_t grain, absl::FunctionRef<void(int64_t, int64_t)> body) override {
    threads_.ParallelFor(count, grain, [&](int64_t begin, int64_t end) {
      for (int64_t b = begin; b < end; b += grain) {
        if (!CheckWanted(call_).ok()) return;
        body(b, std::min(b + grain, end));
      }
    });
  }

 private:
  Executor& threads_;
  const Call& call_;
};

int ThreadCount(int wanted) {
  return wanted > 0 ? wanted : std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

}  // namespace

Engine::Engine(EngineOptions options)
    : options_(std::move(options)),
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
  const auto method = Methods().find(absl::string_view(call.path.data(), call.path.size()));
  if (method == Methods().end()) {
    call.done(absl::UnimplementedError(absl::StrCat("no method ", std::string(call.path))));
    return;
  }
  if (absl::Status admitted = Admit(); !admitted.ok()) {
    call.done(std::move(admitted));
    return;
  }
  if (call.may_compute_at_once && method->second.work != nullptr && call.request_bytes <= kSmallRequest) {
    Request request = Parse(method->second, call);
    if (!request.ok()) return Finish(call, request.status());
    // Shared memory is not among the request's bytes.
    if (method->second.work(**request) <= kSmallWork && (*request)->ElementBytes() <= kSmallRequest) {
      return Compute(method->second, **request, nullptr, InlineExecutor(), std::move(call));
    }
    return pool_.Submit([this, &method = method->second, &request = **request, call = std::move(call)]() mutable {
      Begin(method, &request, std::move(call));
    });
  }
  pool_.Submit([this, &method = method->second, call = std::move(call)]() mutable {
    Request request = Parse(method, call);
    Begin(method, std::move(request), std::move(call));
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
  // `call` is the one that the stream's work belongs to.
  Host(Engine& engine, Call call) : engine_(engine), call_(std::move(call)) {}

  void Submit(std::function<void()> task) override { engine_.pool_.Submit(std::move(task)); }

  absl::StatusOr<std::shared_ptr<HeldNetwork>> FindNetwork(const std::string& name) override {
    return engine_.networks_.Find(name);
  }

  absl::Status Compute(HeldNetwork* held, bool at_once, absl::FunctionRef<absl::Status(Context&)> fn) override {
    if (absl::Status wanted = CheckWanted(call_); !wanted.ok()) return wanted;
    absl::Status status =
        engine_.WithContext(call_, held, at_once ? InlineExecutor() : static_cast<Executor&>(engine_.pool_), fn);
    if (absl::Status wanted = CheckWanted(call_); !wanted.ok()) return wanted;
    return status;
  }

 private:
  Engine& engine_;
  const Call call_;
};

absl::StatusOr<std::shared_ptr<Stream>> Engine::OpenStream(std::string_view path, StreamTransport& transport,
                                                           absl::Time deadline, std::function<bool()> cancelled) {
  const auto method = StreamMethods().find(absl::string_view(path.data(), path.size()));
  if (method == StreamMethods().end()) return absl::UnimplementedError(absl::StrCat("no method ", std::string(path)));
  if (absl::Status admitted = Admit(); !admitted.ok()) return admitted;

  Call call;
  call.deadline = deadline;
  call.cancelled = std::move(cancelled);
  auto* stream = new Stream(method->second, transport, std::make_unique<Host>(*this, std::move(call)));
  return std::shared_ptr<Stream>(stream, [this](Stream* ended) {
    delete ended;
    --counters_.calls_in_progress;
  });
}

Engine::Request Engine::Parse(const Method& method, const Call& call) {
  return Guarded([&] { return call.request(*method.request_prototype, buffers_); });
}

void Engine::Begin(const Method& method, Request request, Call call) {
  if (!request.ok()) return Finish(call, request.status());
  if (method.network_of == nullptr) return Compute(method, **request, nullptr, pool_, std::move(call));

  absl::StatusOr<std::shared_ptr<HeldNetwork>> held = networks_.Find(method.network_of(**request));
  if (!held.ok()) return Finish(call, held.status());
  const std::shared_ptr<Strand> strand = (*held)->strand;
  // This is a thread of the pool already.
  strand->RunOrPost([this, &method, &request = **request, held = *std::move(held), call = std::move(call)]() mutable {
    Compute(method, request, held.get(), pool_, std::move(call));
  });
}

void Engine::Compute(const Method& method, const codec::Envelope& request, HeldNetwork* held, Executor& threads,
                     Call call) {
  if (absl::Status wanted = CheckWanted(call); !wanted.ok()) return Finish(call, std::move(wanted));
  EnvelopeOr result = WithContext(call, held, threads, [&](Context& context) {
    const std::optional<codec::Envelope> copy = codec::CopyShared(request, method.in_place, buffers_);
    return method.handle(copy ? *copy : request, held, context);
  });
  // A handler on a network has carried out all; others may have stopped half-way.
  if (held == nullptr) {
    if (absl::Status wanted = CheckWanted(call); !wanted.ok()) result = std::move(wanted);
  }
  Finish(call, std::move(result));
}

template <typename Fn>
auto Engine::WithContext(const Call& call, const HeldNetwork* held, Executor& threads, Fn fn)
    -> decltype(fn(std::declval<Context&>())) {
  CallExecutor stopping(threads, call);
  Executor& executor = held == nullptr ? stopping : threads;
  Context context{options_.limits, executor,  networks_,
                  buffers_,        counters_, /*wanted=*/[&call] { return CheckWanted(call); }};
  return Guarded([&] { return fn(context); });
}

void Engine::Finish(Call& call, EnvelopeOr result) {
  --counters_.calls_in_progress;
  call.done(std::move(result));
}

void Engine::ExpireNetworks() {
  const absl::Duration period =
      std::clamp(options_.limits.network_idle_timeout / 4, absl::Milliseconds(100), absl::Seconds(10));
  std::unique_lock lock(stop_mutex_);
  while (!stop_.wait_for(lock, absl::ToChronoNanoseconds(period), [this] { return stopping_; })) networks_.Expire();
}

}  // namespace spikeserve::server

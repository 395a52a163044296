// Measures the library, the client, bare gRPC calls and the machine's limits. Each request names one of these as
// `what`:
//
//   library  function, inputs, params, threads, repetitions, [digest]
//   client   function, inputs, params, address, repetitions, [digest], [shared_memory]
//   echo     address, method, request_bytes, repetitions
//   load     like client or, without a function, like echo; concurrency, seconds instead of repetitions
//   memory   read_bytes, write_bytes, threads, repetitions
//   bits     (nothing else)

#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/synchronization/notification.h"
#include "bench/echo_client.h"
#include "bench/functions.h"
#include "bench/machine_limits.h"
#include "bench/operands.h"
#include "bench/worker.h"
#include "load/load_generator.h"
#include "runtime/compute_pool.h"
#include "spikeserve/client/client.h"

namespace spikeserve::bench {
namespace {

using server::ComputePool;

// Whether clients send tensors of any size in pieces.
template <typename Options>
constexpr bool kStreams = requires(Options options) {
  options.stream_above_bytes;
};

class Driver {
 public:
  Json Answer(const Json& request) {
    static const std::map<std::string, Json (Driver::*)(const Json&)> kWhat = {
        {"library", &Driver::Library}, {"client", &Driver::CallServer}, {"echo", &Driver::Echo},
        {"load", &Driver::Load},       {"memory", &Driver::Memory},     {"bits", &Driver::Bits},
    };
    const auto it = kWhat.find(request.at("what").get<std::string>());
    if (it == kWhat.end()) throw std::runtime_error("unknown request " + request.dump());
    return (this->*it->second)(request);
  }

 private:
  static int Repetitions(const Json& request) { return request.at("repetitions").get<int>(); }

  // Calls `work` with an executor of so many threads: for one the caller's own, for more from inside of a pool, as the
  // server does.
  static void WithThreads(int threads, const std::function<void(Executor&)>& work) {
    if (threads == 1) return work(InlineExecutor());
    static auto* const pools = new std::map<int, std::unique_ptr<ComputePool>>();
    std::unique_ptr<ComputePool>& pool = (*pools)[threads];
    if (pool == nullptr) pool = std::make_unique<ComputePool>(threads);
    std::exception_ptr error;
    absl::Notification done;
    pool->Submit([&] {
      try {
        work(*pool);
      } catch (...) {
        error = std::current_exception();
      }
      done.Notify();
    });
    done.WaitForNotification();
    if (error != nullptr) std::rethrow_exception(error);
  }

  static Json Measure(const Json& request, const Runnable& runnable) {
    Json reply = {{"seconds", SecondsOf(Repetitions(request), runnable.run)}};
    if (request.value("digest", false)) reply["digest"] = runnable.digest();
    return reply;
  }

  Json Library(const Json& request) {
    operands_.Use(request.at("inputs"));
    Json reply;
    WithThreads(request.at("threads").get<int>(), [&](Executor& executor) {
      reply = Measure(request, LibraryFunction(request.at("function").get<std::string>(), operands_,
                                               request.at("params"), executor));
    });
    return reply;
  }

  // A client is kept for whenever the same server is asked for.
  const Client& ClientOf(const Json& request) {
    const auto address = request.at("address").get<std::string>();
    const bool shared_memory = request.value("shared_memory", false);
    auto it = clients_.find({address, shared_memory});
    if (it == clients_.end()) {
      absl::StatusOr<Client> client = Client::Connect(address, {.shared_memory = shared_memory});
      if (!client.ok()) throw std::runtime_error(client.status().ToString());
      it = clients_.emplace(std::make_pair(address, shared_memory), *std::move(client)).first;
    }
    return it->second;
  }

  EchoClient& EchoOf(const Json& request) {
    const auto bytes = request.at("request_bytes").get<size_t>();
    const auto address = request.at("address").get<std::string>(), method = request.at("method").get<std::string>();
    std::unique_ptr<EchoClient>& client = echoes_[{address, method, bytes}];
    if (client == nullptr) client = std::make_unique<EchoClient>(address, method, bytes);
    return *client;
  }

  Json CallServer(const Json& request) {
    operands_.Use(request.at("inputs"));
    const Client& client = ClientOf(request);
    const bool shared_memory = request.value("shared_memory", false);
    const OperandOf operand = [&](const std::string& name) {
      if (!shared_memory) return operands_.OnTheWire(name);
      return operands_.Shared(client, request.at("address").get<std::string>(), name);
    };
    Json reply = Measure(
        request, ClientFunction(request.at("function").get<std::string>(), operand, request.at("params"), client));
    if (shared_memory) reply["shared_memory_in_use"] = client.shared_memory_in_use();
    return reply;
  }

  Json Echo(const Json& request) {
    EchoClient& client = EchoOf(request);
    return {{"seconds", SecondsOf(Repetitions(request), [&] { client.Call(); })}};
  }

  // Many calls of spike_cluster, the function whose calls are small, or as many bare ones.
  Json Load(const Json& request) {
    load::StartCall start;
    if (request.contains("function")) {
      operands_.Use(request.at("inputs"));
      const Json& params = request.at("params");
      const SpikeClusterArgs args = {.v = operands_.OnTheWire("v"),
                                     .v_threshold = params.at("v_threshold").get<float>(),
                                     .options = {.t_in = params.at("t_in").get<int64_t>()},
                                     .index_output = true};
      start = [args, client = ClientOf(request)](std::function<void(absl::Status)> done) {
        client.Start<SpikeClusterArgs>(
            args, {}, [done = std::move(done)](absl::StatusOr<SpikeClusterResult> result) { done(result.status()); });
      };
    } else {
      start = [&client = EchoOf(request)](std::function<void(absl::Status)> done) { client.Start(std::move(done)); };
    }
    const load::LoadResult result = load::RunLoad({.concurrency = request.at("concurrency").get<int>(),
                                                   .duration = absl::Seconds(request.at("seconds").get<double>())},
                                                  start, [](const load::LoadResult&) {});
    for (const auto& [code, errors] : result.errors) throw std::runtime_error(errors.message);
    const auto seconds = [&](double percent) { return absl::ToDoubleSeconds(result.latency.Percentile(percent)); };
    return {{"calls_per_second", static_cast<double>(result.calls()) / absl::ToDoubleSeconds(result.elapsed)},
            {"p50", seconds(50)},
            {"p99", seconds(99)}};
  }

  Json Memory(const Json& request) {
    const auto read = request.at("read_bytes").get<int64_t>(), written = request.at("write_bytes").get<int64_t>();
    Json reply;
    WithThreads(request.at("threads").get<int>(), [&](Executor& executor) {
      TouchMemory(read, written, executor);  // The first time it is made.
      reply["seconds"] = SecondsOf(Repetitions(request), [&] { TouchMemory(read, written, executor); });
    });
    return reply;
  }

  Json Bits(const Json&) { return {{"bit_pairs_per_second", BitPairsPerSecond()}}; }

  Operands operands_;
  std::map<std::pair<std::string, bool>, Client> clients_;
  std::map<std::tuple<std::string, std::string, size_t>, std::unique_ptr<EchoClient>> echoes_;
};

}  // namespace
}  // namespace spikeserve::bench

int main() {
  spikeserve::bench::Driver driver;
  spikeserve::bench::ServeLines([&](const auto& request) { return driver.Answer(request); });
}

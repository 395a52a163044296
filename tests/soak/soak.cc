// Mixed load with faults for a long time: soak [--seconds=N] [--flag=FLAG of the server ...]
//
// Starts the server as a process of its own, and calls it from many threads: functions, streams, networks that are run
// and trained, with peers beside them that send garbage, vanish, or give up. Every answer is held against what the
// library computes in this process. At the end nothing may be left of the calls, and the memory and the descriptors
// that the server holds must not have grown.

#include <signal.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "spikeserve/client/client.h"
#include "spikeserve/compute/network.h"
#include "support/raw_http2.h"
#include "support/server_process.h"

namespace spikeserve {
namespace {

using testing::RawConnection;
using testing::ServerProcess;

// What all threads share.
class Soak {
 public:
  explicit Soak(std::string address) : address_(std::move(address)) {}

  const std::string& address() const { return address_; }
  Client client() const { return *Client::Connect(address_); }
  bool ended() const { return ended_; }
  void End() { ended_ = true; }

  // Counts a call of a kind; `right`: whether it was answered as it must be.
  void Count(const std::string& kind, bool right, absl::FunctionRef<std::string()> why) {
    const std::lock_guard lock(mutex_);
    ++calls_[kind];
    if (right) return;
    if (++wrong_ <= 20) std::cerr << "soak: WRONG: " << kind << ": " << why() << std::endl;
  }
  void Expect(const std::string& kind, const absl::Status& status) {
    Count(kind, status.ok(), [&] { return status.ToString(); });
  }

  std::map<std::string, int64_t> calls() {
    const std::lock_guard lock(mutex_);
    return calls_;
  }
  int64_t wrong() {
    const std::lock_guard lock(mutex_);
    return wrong_;
  }

 private:
  const std::string address_;
  std::atomic<bool> ended_ = false;
  std::mutex mutex_;
  std::map<std::string, int64_t> calls_;
  int64_t wrong_ = 0;
};

bool Same(const Tensor& a, const Tensor& b) {
  return a.dtype() == b.dtype() && a.shape() == b.shape() &&
         (a.byte_size() == 0 || std::memcmp(a.data(), b.data(), a.byte_size()) == 0);
}

RowMatrix<float> Random(int64_t rows, int64_t cols, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0.3f, 0.5f);
  return RowMatrix<float>::NullaryExpr(rows, cols, [&] { return normal(random); });
}

// --- What the threads do, each until the end.

// Functions with results of all sizes, against the library in this process.
void CallFunctions(Soak& soak, uint32_t seed) {
  const Client client = soak.client(), own = *Client::InProcess({.threads = 1});
  std::mt19937 random(seed);
  std::vector<RowMatrix<float>> voltages;
  std::vector<SpikeClusterResult> clusters;
  std::vector<Tensor> kernels;
  for (const int64_t neurons : {3, 200, 7000}) {
    voltages.push_back(Random(60, neurons, seed));
    clusters.push_back(*own.SpikeCluster({.v = voltages.back(), .v_threshold = 1.0f}));
    kernels.push_back(*own.KernelDotProduct({.x = voltages.back(), .kernel = GaussianKernel{2}}));
  }
  while (!soak.ended()) {
    const size_t i = random() % voltages.size();
    const auto cluster = client.SpikeCluster({.v = voltages[i], .v_threshold = 1.0f});
    soak.Count("SpikeCluster", cluster.ok() && Same(cluster->n_o, clusters[i].n_o),
               [&] { return cluster.ok() ? "another result" : cluster.status().ToString(); });
    const auto kernel = client.KernelDotProduct({.x = voltages[i], .kernel = GaussianKernel{2}});
    soak.Count("KernelDotProduct", kernel.ok() && Same(*kernel, kernels[i]),
               [&] { return kernel.ok() ? "another result" : kernel.status().ToString(); });
  }
}

// The same in pieces.
void CallInPieces(Soak& soak) {
  const Client client = *Client::Connect(soak.address(), {.stream_above_bytes = 1 << 20});
  const RowMatrix<float> v = Random(80, 9000, 5);
  const SpikeClusterResult wanted = *Client::InProcess({.threads = 1})->SpikeCluster({.v = v, .v_threshold = 1.0f});
  while (!soak.ended()) {
    const auto got = client.SpikeCluster({.v = v, .v_threshold = 1.0f});
    soak.Count("StreamSpikeCluster", got.ok() && Same(got->n_o, wanted.n_o),
               [&] { return got.ok() ? "another result" : got.status().ToString(); });
  }
}

std::vector<LayerSpec> Layers() {
  const RowMatrix<float> first = Random(40, 20, 1), second = Random(6, 40, 2);
  return {{.name = "first", .kind = LinearLayer{.weight = first, .bias = std::vector<float>(40, 0.1f)}},
          {.name = "hidden", .kind = LifNode{}},
          {.name = "mask", .kind = Dropout{0.2, 7}},
          {.name = "second", .kind = LinearLayer{.weight = second, .bias = std::vector<float>(6, 0.1f)}},
          {.name = "out", .kind = PlifNode{}}};
}

// Trains networks beside the same ones in this process.
void Train(Soak& soak, uint32_t seed) {
  const Client client = soak.client();
  constexpr int64_t kSteps = 8, kBatch = 10;
  const RowMatrix<float> input = Random(kSteps * kBatch, 20, seed);
  const absl::Span<const float> values(input.data(), input.size());
  std::vector<int64_t> labels(kBatch);
  for (size_t i = 0; i < labels.size(); ++i) labels[i] = static_cast<int64_t>(i % 3);
  const TrainStepOptions options = {
      .optimizer = Adam{.learning_rate = 0.01}, .num_classes = 3, .losses = {{.kind = RateLoss{}}}};
  while (!soak.ended()) {
    const absl::StatusOr<NetworkHandle> network = client.CreateNetwork(Layers());
    soak.Expect("CreateNetwork", network.status());
    if (!network.ok()) continue;
    Network twin = *Network::Create(Layers());
    for (uint64_t step = 0; step < 40 && !soak.ended(); ++step) {
      const auto got = network->TrainStep({.input = TensorView(values, {kSteps, kBatch, 20}),
                                           .labels = TensorView(absl::MakeConstSpan(labels), {kBatch}),
                                           .options = options,
                                           .step = step});
      const auto wanted = twin.TrainStep(values, {kSteps, kBatch, 20}, labels, options);
      soak.Count("TrainStep", got.ok() && wanted.ok() && got->loss == wanted->loss,
                 [&] { return got.ok() ? "another loss" : got.status().ToString(); });
    }
  }
}

// An integrator that counts its steps, by calls and by a stream: one that is lost or carried out twice shows.
void Step(Soak& soak) {
  const Client client = soak.client();
  const std::vector<float> one = {1};
  const TensorView input(absl::MakeConstSpan(one), {1, 1, 1});
  const std::vector<RecordRequest> records = {{.layer = "n", .v_before_reset = true}};
  while (!soak.ended()) {
    IfNode counter;
    counter.v_threshold = 1e9f;
    const absl::StatusOr<NetworkHandle> network = client.CreateNetwork({{.name = "n", .kind = counter}});
    soak.Expect("CreateNetwork", network.status());
    if (!network.ok()) continue;
    absl::StatusOr<NetworkRun> run = network->Run({.records = records});
    soak.Expect("Run", run.status());
    uint64_t steps = 0;
    const auto check = [&](const char* kind, const auto& got) {
      ++steps;
      soak.Count(kind, got.ok() && got->records[0].v_before_reset->template values<float>()[0] == steps,
                 [&] { return got.ok() ? "a step lost or twice" : got.status().ToString(); });
    };
    while (steps < 2000 && run.ok() && !soak.ended()) {
      check("Forward", network->Forward({.input = input, .records = records, .step = steps}));
      for (int i = 0; i < 5; ++i) check("Run message", run->Step(input));
    }
  }
}

// Callers that do not wait for the answer.
void GiveUp(Soak& soak) {
  const Client client = soak.client();
  const RowMatrix<float> x = Random(1500, 400, 3);
  std::mt19937 random(4);
  while (!soak.ended()) {
    const absl::Duration timeout = absl::Microseconds(100 + random() % 20'000);
    const auto got = client.KernelDotProduct({.x = x, .kernel = GaussianKernel{2}}, {.timeout = timeout});
    soak.Count("given up",
               got.ok() || absl::IsDeadlineExceeded(got.status()) || absl::IsResourceExhausted(got.status()),
               [&] { return got.status().ToString(); });
  }
}

// Peers that break the rules.
void BreakRules(Soak& soak) {
  std::mt19937 random(5);
  const std::string call =
      testing::Greeting() + testing::CallFrames("/spikeserve.v1.SpikeFunctionService/SpikeCluster", "nonsense", 1);
  while (!soak.ended()) {
    RawConnection peer(soak.address());
    std::string bytes = call;
    switch (random() % 4) {
      case 0:
        for (int i = 0; i < 5; ++i) bytes[random() % bytes.size()] = static_cast<char>(random());
        break;
      case 1:
        bytes.resize(random() % bytes.size());
        break;
      case 2:
        bytes.assign(1000, '\0');
        break;
      default:
        break;
    }
    peer.Send(bytes);
    if (random() % 2 == 0) peer.Reset();
    soak.Count("broken rules", true, [] { return ""; });
    absl::SleepFor(absl::Milliseconds(2));
  }
}

// --- What the server holds.

struct Sample {
  int64_t bytes;
  int descriptors;
};

struct Range {
  double mean = 0;
  double most = 0;
};

// Of the samples from `begin` to `end`, parts of all.
Range RangeOf(const std::vector<Sample>& samples, double begin, double end, int64_t (*of)(const Sample&)) {
  Range range;
  const size_t first = static_cast<size_t>(begin * samples.size()), last = static_cast<size_t>(end * samples.size());
  for (size_t i = first; i < last; ++i) {
    const auto value = static_cast<double>(of(samples[i]));
    range.mean += value / static_cast<double>(last - first);
    range.most = std::max(range.most, value);
  }
  return range;
}

int Main(absl::Duration duration, const std::vector<std::string>& flags) {
  std::vector<std::string> all_flags = {"--listen=127.0.0.1:0"};
  all_flags.insert(all_flags.end(), flags.begin(), flags.end());
  ServerProcess server(all_flags);
  const std::vector<std::string> addresses = server.WaitForAddresses();
  if (addresses.empty()) {
    std::cerr << "soak: the server did not start: " << server.Stderr();
    return 2;
  }
  Soak soak(addresses[0]);
  const Client client = soak.client();
  if (!client.ServerStatistics().ok()) return 2;
  const int idle_descriptors = server.OpenFileDescriptors();

  std::vector<std::thread> threads;
  for (const uint32_t seed : {1, 2}) threads.emplace_back([&soak, seed] { CallFunctions(soak, seed); });
  for (const uint32_t seed : {1, 2}) threads.emplace_back([&soak, seed] { Train(soak, seed); });
  for (void (*work)(Soak&) : {CallInPieces, Step, GiveUp, BreakRules}) {
    threads.emplace_back([&soak, work] { work(soak); });
  }

  std::vector<Sample> samples;
  const absl::Time begin = absl::Now();
  const absl::Duration period = std::min(absl::Seconds(1), duration / 40);
  absl::Time next_line = begin;
  while (absl::Now() - begin < duration && server.Running()) {
    samples.push_back({server.ResidentBytes(), server.OpenFileDescriptors()});
    if (absl::Now() >= next_line) {
      int64_t calls = 0;
      for (const auto& [kind, count] : soak.calls()) calls += count;
      std::cout << absl::StreamFormat("%6.0f s  %9d calls  %d wrong  %5.0f MB  %d descriptors\n",
                                      absl::ToDoubleSeconds(absl::Now() - begin), calls, soak.wrong(),
                                      samples.back().bytes / 1e6, samples.back().descriptors)
                << std::flush;
      next_line += std::max(duration / 20, absl::Seconds(5));
    }
    absl::SleepFor(period);
  }
  soak.End();
  for (std::thread& thread : threads) thread.join();

  bool good = soak.wrong() == 0 && server.Running();
  const auto check = [&good](bool holds, const std::string& what) {
    std::cout << (holds ? "held:   " : "BROKEN: ") << what << "\n";
    good &= holds;
  };
  std::cout << "\n";
  for (const auto& [kind, count] : soak.calls()) std::cout << absl::StreamFormat("%-20s %10d\n", kind, count);
  check(soak.wrong() == 0, absl::StrCat(soak.wrong(), " wrong or lost answers"));

  // A little later nothing is left of the calls.
  auto statistics = client.ServerStatistics();
  for (int i = 0; i < 1000 && statistics.ok(); ++i) {
    if (statistics->calls_in_progress == 1 && server.OpenFileDescriptors() <= idle_descriptors + 2) break;
    absl::SleepFor(absl::Milliseconds(10));
    statistics = client.ServerStatistics();
  }
  check(statistics.ok() && statistics->calls_in_progress == 1 && statistics->networks == 0,
        "no call and no network is left");
  int64_t own_faults = 0;
  if (statistics.ok()) {
    const auto failed = statistics->failed_by_code();
    for (const auto code : {absl::StatusCode::kInternal, absl::StatusCode::kUnknown, absl::StatusCode::kDataLoss}) {
      if (const auto it = failed.find(code); it != failed.end()) own_faults += it->second;
    }
  }
  check(own_faults == 0, absl::StrCat(own_faults, " calls that failed by the server's fault"));
  check(server.OpenFileDescriptors() <= idle_descriptors + 2,
        absl::StrCat(server.OpenFileDescriptors(), " descriptors at the end, ", idle_descriptors, " at the beginning"));
  const auto bytes = [](const Sample& sample) { return sample.bytes; };
  const Range early = RangeOf(samples, 0.25, 0.5, bytes), late = RangeOf(samples, 0.75, 1, bytes);
  check(late.mean < 1.1 * early.mean + 16e6,
        absl::StrFormat("memory: %.0f MB on average in the second quarter, %.0f MB in the last (most: %.0f MB)",
                        early.mean / 1e6, late.mean / 1e6, RangeOf(samples, 0, 1, bytes).most / 1e6));
  server.Signal(SIGTERM);
  const int code = server.WaitForExit();
  check(code == 0, absl::StrCat("exit code ", code));
  if (!good) std::cerr << server.Stderr();
  return good ? 0 : 1;
}

}  // namespace
}  // namespace spikeserve

int main(int argc, char** argv) {
  double seconds = 15;
  std::vector<std::string> flags;
  for (int i = 1; i < argc; ++i) {
    absl::string_view argument = argv[i];
    if (absl::ConsumePrefix(&argument, "--seconds=") && absl::SimpleAtod(argument, &seconds) && seconds > 0) continue;
    if (absl::ConsumePrefix(&argument, "--flag=")) {
      flags.emplace_back(argument);
      continue;
    }
    std::cerr << "soak: got " << argv[i] << "; need --seconds=N or --flag=FLAG\n";
    return 2;
  }
  return spikeserve::Main(absl::Seconds(seconds), flags);
}

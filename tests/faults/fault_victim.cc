// A client that makes calls of all kinds until it is killed: fault_victim ADDRESS [TOKEN]. It says when each kind has
// begun.

#include <cstdint>
#include <iostream>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "spikeserve/client/client.h"

namespace {

using spikeserve::Client;

void Say(const char* what) {
  static std::mutex mutex;
  const std::lock_guard lock(mutex);
  std::cout << what << std::endl;
}

// Each call must succeed: whoever looks at the exit code would see it.
template <typename Result>
void Need(const Result& result) {
  if (result.ok()) return;
  std::cerr << result.status() << std::endl;
  exit(1);
}

void CallForEver(const Client& client) {
  const spikeserve::RowMatrix<float> v = spikeserve::RowMatrix<float>::Constant(100, 5000, 0.5f);
  for (bool first = true;; first = false) {
    Need(client.SpikeCluster({.v = v, .v_threshold = 0.4f}));
    if (first) Say("unary");
  }
}

// Of which each goes in pieces.
void StreamForEver(const Client& client) {
  const spikeserve::RowMatrix<float> v = spikeserve::RowMatrix<float>::Constant(100, 20'000, 0.5f);
  for (bool first = true;; first = false) {
    Need(client.SpikeCluster({.v = v, .v_threshold = 0.4f}));
    if (first) Say("streamed");
  }
}

void RunForEver(const Client& client) {
  spikeserve::LinearLayer linear;
  linear.weight = spikeserve::RowMatrix<float>::Constant(50, 40, 0.1f);
  auto network = client.CreateNetwork({{.kind = linear}, {.kind = spikeserve::LifNode()}});
  Need(network);
  auto run = network->Run();
  Need(run);
  // [T, batch, features].
  const std::vector<float> step(40, 0.5f);
  for (bool first = true;; first = false) {
    Need(run->Step(spikeserve::TensorView(absl::MakeConstSpan(step), {1, 1, 40})));
    if (first) Say("run");
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2 && argc != 3) return 2;
  const std::string token = argc == 3 ? argv[2] : "";
  const Client client = *Client::Connect(argv[1], {.token = token});
  const Client in_pieces = *Client::Connect(argv[1], {.token = token, .stream_above_bytes = 1 << 20});
  std::vector<std::thread> threads;
  threads.emplace_back([&] { CallForEver(client); });
  threads.emplace_back([&] { StreamForEver(in_pieces); });
  threads.emplace_back([&] { RunForEver(client); });
  for (std::thread& thread : threads) thread.join();
}

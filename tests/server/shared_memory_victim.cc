// A client that makes calls on shared memory until it is killed: shared_memory_victim TARGET.

#include <algorithm>
#include <iostream>
#include <thread>
#include <vector>

#include "spikeserve/client/client.h"

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  const auto client = spikeserve::Client::Connect(argv[1], {.shared_memory = true});
  if (!client.ok()) return 1;
  const auto call_for_ever = [&](bool first) {
    spikeserve::Tensor v = client->NewTensor(spikeserve::DataType::kFloat32, {50, 20000});
    std::fill_n(v.values<float>().data(), v.size(), 0.5f);
    for (;;) {
      const auto clusters = client->SpikeCluster({.v = v, .v_threshold = 1.0f, .index_output = true});
      if (!clusters.ok()) exit(1);
      if (first) std::cout << (client->shared_memory_in_use() ? "sharing" : "sending") << std::endl;
      first = false;
    }
  };
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) threads.emplace_back(call_for_ever, i == 0);
  for (std::thread& thread : threads) thread.join();
}

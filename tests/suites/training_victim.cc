// A client that trains a network until it is killed: training_victim TARGET NETWORK.

#include <iostream>

#include "spikeserve/client/client.h"
#include "suites/training_testing.h"

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  const auto client = spikeserve::Client::Connect(argv[1]);
  if (!client.ok()) return 1;
  const spikeserve::NetworkHandle network = client->AttachNetwork(argv[2]);
  const spikeserve::testing::LongStep step;
  for (bool first = true;; first = false) {
    if (!network.TrainStep(step.Args()).ok()) return 1;
    if (first) std::cout << "training" << std::endl;
  }
}

// A client that trains a network until it is killed: training_victim TARGET NETWORK CA CERTIFICATE KEY TOKEN, the last
// four as ConnectOptions has them, and empty where there is no TLS.

#include <iostream>

#include "spikeserve/client/client.h"
#include "suites/training_testing.h"

int main(int argc, char** argv) {
  if (argc != 7) return 2;
  spikeserve::ConnectOptions options;
  if (*argv[3] != '\0') options.tls = {.ca_file = argv[3], .certificate_file = argv[4], .key_file = argv[5]};
  options.token = argv[6];
  const auto client = spikeserve::Client::Connect(argv[1], options);
  if (!client.ok()) return 1;
  const spikeserve::NetworkHandle network = client->AttachNetwork(argv[2]);
  const spikeserve::testing::LongStep step;
  for (bool first = true;; first = false) {
    if (!network.TrainStep(step.Args()).ok()) return 1;
    if (first) std::cout << "training" << std::endl;
  }
}

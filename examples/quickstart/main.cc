// Counts the spike clusters of two neurons: quickstart [HOST:PORT]. Without an address it computes in this process.

#include <iostream>

#include "spikeserve/client/client.h"

int main(int argc, char** argv) {
  const auto client = argc > 1 ? spikeserve::Client::Connect(argv[1]) : spikeserve::Client::InProcess();
  if (!client.ok()) {
    std::cerr << client.status() << "\n";
    return 1;
  }

  // Membrane voltages, a row for each of six steps and a column for each neuron. The first neuron fires at steps 0, 1
  // and 5, the second at steps 0, 2 and 4.
  spikeserve::RowMatrix<float> v(6, 2);
  v << 1.2, 1.5,  //
      1.1, 0.3,   //
      0.2, 1.0,   //
      0.4, 0.1,   //
      0.6, 1.3,   //
      1.0, 0.2;
  // Spikes at most two steps apart belong to one cluster.
  const auto clusters = client->SpikeCluster({.v = v, .v_threshold = 1.0f, .options = {.t_in = 2}});
  if (!clusters.ok()) {
    std::cerr << clusters.status() << "\n";
    return 1;
  }
  for (float n_o : clusters->n_o.values<float>()) std::cout << n_o << " ";  // 2 1
  std::cout << "\n";
}

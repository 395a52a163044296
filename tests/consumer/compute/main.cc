// Uses the installed compute library by itself.

#include <iostream>

#include "spikeserve/compute/spike_cluster.h"

int main() {
  spikeserve::RowMatrix<float> v(4, 1);
  v << 1, 0, 0, 1;
  const auto clusters = spikeserve::SpikeCluster<float>(v, {1.0f}, {.t_in = 2});
  if (!clusters.ok() || clusters->n_o[0] != 2) {
    std::cerr << "SpikeCluster: " << clusters.status() << "\n";
    return 1;
  }
}

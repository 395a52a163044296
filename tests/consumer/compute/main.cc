// Uses the compute library alone.

#include <iostream>

#include "spikeserve/compute/spike_cluster.h"

int main() {
  spikeserve::RowMatrix<float> v(6, 2);
  v << 1.2, 1.5, 1.1, 0.3, 0.2, 1.0, 0.4, 0.1, 0.6, 1.3, 1.0, 0.2;
  const float threshold = 1;
  const auto clusters = spikeserve::SpikeCluster<float>(v, {&threshold, 1}, {.t_in = 2});
  if (!clusters.ok()) return 1;
  for (float n_o : clusters->n_o) std::cout << n_o << " ";
  std::cout << "\n";
}

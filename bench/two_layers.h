// The network that is trained and stepped through: Linear-LIF-Linear-LIF.

#ifndef SPIKESERVE_BENCH_TWO_LAYERS_H_
#define SPIKESERVE_BENCH_TWO_LAYERS_H_

#include <vector>

#include "bench/functions.h"
#include "spikeserve/compute/layer_spec.h"

namespace spikeserve::bench {

// Of the operands w1, b1, w2, b2, and the parameters tau and alpha, that of the surrogate.
std::vector<LayerSpec> TwoLayers(const OperandOf& operand, const Json& params);

}  // namespace spikeserve::bench

#endif  // SPIKESERVE_BENCH_TWO_LAYERS_H_

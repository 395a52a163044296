// The neurons of the golden cases.

#ifndef SPIKESERVE_TESTS_SUPPORT_GOLDEN_NEURON_H_
#define SPIKESERVE_TESTS_SUPPORT_GOLDEN_NEURON_H_

#include "nlohmann/json.hpp"
#include "spikeserve/compute/layer_spec.h"

namespace spikeserve::testing {

// The layer that the parameters of a case of "neuron" tell of.
LayerSpec GoldenNeuron(const nlohmann::json& params);

}  // namespace spikeserve::testing

#endif  // SPIKESERVE_TESTS_SUPPORT_GOLDEN_NEURON_H_

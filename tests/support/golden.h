// The golden cases: inputs and parameters of every function, and what the reference implementation made of them.

#ifndef SPIKESERVE_TESTS_SUPPORT_GOLDEN_H_
#define SPIKESERVE_TESTS_SUPPORT_GOLDEN_H_

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "nlohmann/json.hpp"
#include "spikeserve/compute/tensor.h"

namespace spikeserve::testing {

struct GoldenCase {
  std::string name;       // Unique within its function.
  nlohmann::json params;  // An object.
  std::map<std::string, Tensor> inputs;
  std::map<std::string, Tensor> outputs;  // Empty where the reference refuses the case.
};

// The cases of a function in the manifest's order; `file_stem` is the function's name and that of its .npz, such as
// "spike_cluster". Ends the program with a message where there are none or a file is broken.
std::vector<GoldenCase> GoldenCases(std::string_view file_stem);

}  // namespace spikeserve::testing

#endif  // SPIKESERVE_TESTS_SUPPORT_GOLDEN_H_

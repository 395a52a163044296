// The calls that `spikectl load` makes: of each function one, whose operand has about as many bytes as is asked for.

#ifndef SPIKESERVE_CLI_LOAD_CALLS_H_
#define SPIKESERVE_CLI_LOAD_CALLS_H_

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "spikeserve/client/client.h"
#include "spikeserve/client/options.h"
#include "spikeserve/compute/data_type.h"
#include "spikeserve/compute/shape.h"

namespace spikeserve::cli {

// A call that can be made any number of times, from any thread.
struct LoadCall {
  // The operand's: of v, x, spikes or labels.
  DataType dtype;
  Shape shape;
  int64_t operand_bytes;
  std::function<void(const Client& client, const CallOptions& options, std::function<void(absl::Status)> done)> start;
};

// How large a call is.
struct LoadSize {
  // Of the operand, about; >= 1.
  int64_t bytes = 4096;
  // The spike trains that a call compares with each other, where the function compares; >= 1. The more they are, the
  // longer it computes for the same bytes.
  int64_t samples = 32;
};

// Makes the call of that size: the same at each time and place.
using MakeLoadCall = LoadCall (*)(const LoadSize& size);

// The functions, by the names of their commands.
const std::vector<std::pair<std::string, MakeLoadCall>>& LoadCalls();

}  // namespace spikeserve::cli

#endif  // SPIKESERVE_CLI_LOAD_CALLS_H_

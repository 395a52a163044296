// The functions that are measured, computed by the library and by a server.

#ifndef SPIKESERVE_BENCH_FUNCTIONS_H_
#define SPIKESERVE_BENCH_FUNCTIONS_H_

#include <functional>
#include <string>
#include <vector>

#include "bench/operands.h"
#include "bench/worker.h"
#include "spikeserve/client/client.h"
#include "spikeserve/compute/executor.h"

namespace spikeserve::bench {

// Something to measure.
struct Runnable {
  // Throws std::runtime_error where the function fails.
  std::function<void()> run;
  // A few numbers of the last run's results, the same for all who compute the same (bench/pytorch_reference.py).
  std::function<std::vector<double>()> digest;
};

// The library's function of that name with the operands and parameters, on the executor's threads. Results whose memory
// the caller owns go into memory that is kept from run to run.
Runnable LibraryFunction(const std::string& function, Operands& operands, const Json& params, Executor& executor);

// An operand as it is sent, by name. It must stay as it is while the Runnable is used.
using OperandOf = std::function<TensorView(const std::string& name)>;

// The same, called with a client. 0/1 tensors and masks go as bits, steps as indices.
Runnable ClientFunction(const std::string& function, const OperandOf& operand, const Json& params,
                        const Client& client);

}  // namespace spikeserve::bench

#endif  // SPIKESERVE_BENCH_FUNCTIONS_H_

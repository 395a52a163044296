// A training step, computed by the library and by a server: a function as those of functions.h, of a network that
// stays.

#ifndef SPIKESERVE_BENCH_TRAINING_H_
#define SPIKESERVE_BENCH_TRAINING_H_

#include "bench/functions.h"

namespace spikeserve::bench {

// Operands: x [T, B, features], labels [B], and the weights and biases w1, b1, w2, b2 of Linear-LIF-Linear-LIF.
Runnable LibraryTrainStep(Operands& operands, const Json& params, Executor& executor);
Runnable CallTrainStep(const OperandOf& operand, const Json& params, const Client& client);

}  // namespace spikeserve::bench

#endif  // SPIKESERVE_BENCH_TRAINING_H_

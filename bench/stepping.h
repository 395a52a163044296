// A network that runs a few steps at a time: functions as those of functions.h, of a network that stays.

#ifndef SPIKESERVE_BENCH_STEPPING_H_
#define SPIKESERVE_BENCH_STEPPING_H_

#include "bench/functions.h"

namespace spikeserve::bench {

// Operands: x [T, B, features], again and again, and those of TwoLayers. Parameters: those of TwoLayers, and the
// `steps` of each run, which divide T. The digest is the number of spikes of the network's very first step.
Runnable LibraryForward(Operands& operands, const Json& params, Executor& executor);
// One call of Forward for each run.
Runnable CallForward(const OperandOf& operand, const Json& params, const Client& client);
// One message, which waits for its response, on a stream that stays open.
Runnable CallRun(const OperandOf& operand, const Json& params, const Client& client);

}  // namespace spikeserve::bench

#endif  // SPIKESERVE_BENCH_STEPPING_H_

// What the machine can do at most: the floor under every time that the benchmark prints.

#ifndef SPIKESERVE_BENCH_MACHINE_LIMITS_H_
#define SPIKESERVE_BENCH_MACHINE_LIMITS_H_

#include <cstdint>

#include "spikeserve/compute/executor.h"

namespace spikeserve::bench {

// Reads `read_bytes` of memory once and writes `write_bytes`, with the executor's threads. The same memory each time,
// so that what fits into a cache is in it, as it is for a function that is called again and again. Not thread-safe.
void TouchMemory(int64_t read_bytes, int64_t write_bytes, Executor& executor);

// Pairs of bits that one thread can multiply and count in a second, from registers: AND, population count and addition
// with the widest vectors that the machine has.
double BitPairsPerSecond();

}  // namespace spikeserve::bench

#endif  // SPIKESERVE_BENCH_MACHINE_LIMITS_H_

// What the benchmark's C++ programs share: they answer requests, a JSON object a line, as bench/workers.py tells.

#ifndef SPIKESERVE_BENCH_WORKER_H_
#define SPIKESERVE_BENCH_WORKER_H_

#include <chrono>
#include <functional>
#include <vector>

#include "absl/functional/function_ref.h"
#include "nlohmann/json.hpp"

namespace spikeserve::bench {

using Json = nlohmann::json;

// Answers each line of standard input with a line on standard output, until the input ends. What `answer` throws
// becomes
// {"error": message}.
void ServeLines(const std::function<Json(const Json& request)>& answer);

// How long each of so many runs of `run` takes, in seconds.
std::vector<double> SecondsOf(int repetitions, absl::FunctionRef<void()> run);

}  // namespace spikeserve::bench

#endif  // SPIKESERVE_BENCH_WORKER_H_

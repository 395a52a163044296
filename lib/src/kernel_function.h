// Internal: the functions of one number that kernels are.

#ifndef SPIKESERVE_COMPUTE_SRC_KERNEL_FUNCTION_H_
#define SPIKESERVE_COMPUTE_SRC_KERNEL_FUNCTION_H_

#include <cstdint>
#include <variant>
#include <vector>

#include "spikeserve/compute/executor.h"
#include "spikeserve/compute/kernel.h"

namespace spikeserve {

// Whether the kernel is a function of |x - y|^2; the others are functions of x.y.
inline bool TakesDistance(const Kernel& kernel) { return std::holds_alternative<GaussianKernel>(kernel); }

// values[i] = kernel(values[i]), of what the kernel is a function of. A value depends on nothing but the argument: not
// on its place, nor on the machine.
void EvaluateKernel(const Kernel& kernel, double* values, int64_t count);

// slopes[i] = the kernel's derivative at arguments[i], where its value is values[i]: with respect to x.y, so that the
// gradient of x is slope * y; for the gaussian with respect to -|x - y|^2 / 2, so that it is slope * (y - x). A
// gaussian's slope at 0 counts for nothing, and is 0 rather than infinite for a small sigma. That of x^0 is 0
// everywhere.
void EvaluateSlopes(const Kernel& kernel, const double* arguments, const double* values, int64_t count, double* slopes);

// The kernel's values at 0, 1 ... max.
std::vector<double> KernelTable(const Kernel& kernel, int64_t max, Executor& executor);

}  // namespace spikeserve

#endif  // SPIKESERVE_COMPUTE_SRC_KERNEL_FUNCTION_H_

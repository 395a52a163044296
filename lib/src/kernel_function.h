// Internal: the functions of one number that kernels are.

#ifndef SPIKESERVE_COMPUTE_SRC_KERNEL_FUNCTION_H_
#define SPIKESERVE_COMPUTE_SRC_KERNEL_FUNCTION_H_

#include <cstdint>
#include <variant>
#include <vector>

#include "spikeserve/compute/kernel.h"

namespace spikeserve {

// Whether the kernel is a function of |x - y|^2; the others are functions of x.y.
inline bool TakesDistance(const Kernel& kernel) { return std::holds_alternative<GaussianKernel>(kernel); }

// values[i] = kernel(values[i]), of what the kernel is a function of. A value depends on nothing but the argument: not
// on its place, nor on the machine.
void EvaluateKernel(const Kernel& kernel, double* values, int64_t count);

// The kernel's values at 0, 1 ... max.
std::vector<double> KernelTable(const Kernel& kernel, int64_t max);

}  // namespace spikeserve

#endif  // SPIKESERVE_COMPUTE_SRC_KERNEL_FUNCTION_H_

// Runs tests on every instruction set for which the compute library has code and that the machine has.

#ifndef SPIKESERVE_TESTS_LIB_SIMD_TARGETS_H_
#define SPIKESERVE_TESTS_LIB_SIMD_TARGETS_H_

#include <cstdint>

#include "absl/functional/function_ref.h"
#include "gtest/gtest.h"
#include "hwy/targets.h"

namespace spikeserve::testing {

inline void ForEachTarget(absl::FunctionRef<void()> body) {
  const auto use = [](int64_t targets) {
    hwy::SetSupportedTargetsForTest(targets);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
  };
  for (int64_t left = hwy::SupportedTargets(); left != 0; left &= left - 1) {
    const int64_t target = left & -left;
    SCOPED_TRACE(hwy::TargetName(target));
    use(target);
    body();
  }
  use(0);  // All that the machine has.
}

}  // namespace spikeserve::testing

#endif  // SPIKESERVE_TESTS_LIB_SIMD_TARGETS_H_

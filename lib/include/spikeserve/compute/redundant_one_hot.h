// One-hot codes in which each class has several ones.

#ifndef SPIKESERVE_COMPUTE_REDUNDANT_ONE_HOT_H_
#define SPIKESERVE_COMPUTE_REDUNDANT_ONE_HOT_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace spikeserve {

// The length of a code, num_classes * n. INVALID_ARGUMENT where either is < 1 or the product is above 2^63 - 1.
absl::StatusOr<int64_t> RedundantOneHotWidth(int64_t num_classes, int64_t n);

// Writes codes [B, num_classes * n]: row b has ones at labels[b] * n ... labels[b] * n + n - 1, else zeros.
//
// labels B elements; codes has room for B * num_classes * n. Scalar is float or uint8_t.
// Errors: those of RedundantOneHotWidth; INVALID_ARGUMENT for a label outside of [0, num_classes), codes of another
// size.
template <typename Scalar>
absl::Status RedundantOneHot(absl::Span<const int64_t> labels, int64_t num_classes, int64_t n,
                             absl::Span<Scalar> codes);

}  // namespace spikeserve

#endif  // SPIKESERVE_COMPUTE_REDUNDANT_ONE_HOT_H_

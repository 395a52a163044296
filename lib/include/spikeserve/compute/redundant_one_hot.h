// One-hot codes in which each class has several ones.

#ifndef SPIKESERVE_COMPUTE_REDUNDANT_ONE_HOT_H_
#define SPIKESERVE_COMPUTE_REDUNDANT_ONE_HOT_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "spikeserve/compute/executor.h"

namespace spikeserve {

// The length of a code, num_classes * n. INVALID_ARGUMENT where either is < 1 or the product is above 2^63 - 1.
absl::StatusOr<int64_t> RedundantOneHotWidth(int64_t num_classes, int64_t n);

// Writes codes [B, num_classes * n]: row b has ones at labels[b] * n ... labels[b] * n + n - 1, else zeros.
//
// labels B elements; codes has room for B * num_classes * n, and what it holds does not matter. Scalar is float or
// uint8_t. Errors, after which codes may hold anything: those of RedundantOneHotWidth; INVALID_ARGUMENT for a label
// outside of [0, num_classes), codes of another size.
template <typename Scalar>
absl::Status RedundantOneHot(absl::Span<const int64_t> labels, int64_t num_classes, int64_t n, absl::Span<Scalar> codes,
                             Executor& executor = InlineExecutor());

// The same as bits (DataType::kBit): each row is padded to whole bytes, least significant bit first.
// `codes` has room for B * ceil(num_classes * n / 8).
absl::Status RedundantOneHotBits(absl::Span<const int64_t> labels, int64_t num_classes, int64_t n,
                                 absl::Span<uint8_t> codes, Executor& executor = InlineExecutor());

}  // namespace spikeserve

#endif  // SPIKESERVE_COMPUTE_REDUNDANT_ONE_HOT_H_

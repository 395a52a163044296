// Shapes of tensors, and the sizes that follow from them.

#ifndef SPIKESERVE_COMPUTE_SHAPE_H_
#define SPIKESERVE_COMPUTE_SHAPE_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/container/inlined_vector.h"
#include "absl/types/span.h"
#include "spikeserve/compute/data_type.h"

namespace spikeserve {

// The length of each dimension, each >= 0. Empty: a scalar.
using Shape = absl::InlinedVector<int64_t, 4>;

// "[3, 4]".
std::string ShapeString(absl::Span<const int64_t> shape);

// The number of elements; nullopt where a length is negative or the product is above 2^63 - 1. A zero anywhere makes it
// 0, whatever the other lengths.
std::optional<int64_t> ElementCount(absl::Span<const int64_t> shape);

// The bytes that the dense form takes; nullopt where ElementCount is, or the bytes are above 2^63 - 1.
std::optional<int64_t> ByteCount(DataType dtype, absl::Span<const int64_t> shape);

}  // namespace spikeserve

#endif  // SPIKESERVE_COMPUTE_SHAPE_H_

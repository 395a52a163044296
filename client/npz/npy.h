// numpy's .npy format: one array, a header in the form of a Python literal and the elements behind it.
//
// Read are versions 1.0, 2.0 and 3.0, C and Fortran order (which is transposed: tensors are row-major), little-endian
// elements. numpy's bool, uint8, int32, int64, float32 and float64 keep their type; int8, int16 and uint16 become
// INT32, uint32 becomes INT64, float16 becomes FLOAT32: no value changes. Everything else (big-endian, uint64, complex,
// text, records, Python objects) is refused.
//
// Written is version 1.0 (2.0 where the header needs it), C order. BIT tensors are written as bool, unpacked.

#ifndef SPIKESERVE_NPZ_NPY_H_
#define SPIKESERVE_NPZ_NPY_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "spikeserve/compute/tensor.h"

namespace spikeserve::npz {

struct NpyType;

// What stands before the elements.
struct NpyHeader {
  const NpyType* type;
  bool fortran_order;
  Shape shape;
  int64_t data_offset;  // Where the elements start.
  int64_t data_size;    // Their bytes. The sum of the two does not overflow.
};

// A header is at most this long, so as many of a file's first bytes suffice to parse it. (numpy itself stops at
// 10,000.)
inline constexpr int64_t kMaxNpyHeaderSize = int64_t{1} << 20;

// The header at the front of `bytes`. Errors: INVALID_ARGUMENT.
absl::StatusOr<NpyHeader> ParseNpyHeader(std::string_view bytes);

// The array that `bytes`, the whole of a .npy file, hold. Allocates only what `bytes` have elements for. Errors:
// INVALID_ARGUMENT; bytes beyond the last element are one.
absl::StatusOr<Tensor> ParseNpy(std::string_view bytes);

// The .npy file of `tensor`; equal tensors give equal bytes.
std::string FormatNpy(const TensorView& tensor);

// The same from and to a file. Errors name it; see ReadFile, WriteFile.
absl::StatusOr<Tensor> ReadNpy(const std::string& path);
absl::Status WriteNpy(const std::string& path, const TensorView& tensor);

}  // namespace spikeserve::npz

#endif  // SPIKESERVE_NPZ_NPY_H_

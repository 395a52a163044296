// Tensors as any client may send them: a v1::Tensor behind a byte that says what it is taken as.

#include <cstdint>

#include "codec/tensor_codec.h"
#include "fuzz/fuzzing.h"
#include "spikeserve/compute/bit_matrix.h"
#include "spikeserve/compute/shape.h"

namespace spikeserve::codec {
namespace {

constexpr int64_t kMaxBytes = 1 << 18;

template <typename T>
void TryDecode(const v1::Tensor& tensor, Accept accept) {
  const auto array = Decode<T>(tensor, "tensor", accept, kMaxBytes);
  if (!array.ok()) return;
  SPIKESERVE_REQUIRE(ElementCount(array->shape()) == static_cast<int64_t>(array->values().size()));
  SPIKESERVE_REQUIRE(array->values().size() * sizeof(T) <= kMaxBytes);
  // Reads all of them, so that a sanitizer sees what is not there.
  double sum = 0;
  for (const T value : array->values()) {
    if (accept == Accept::kBinary) SPIKESERVE_REQUIRE(value == T{0} || value == T{1});
    sum += static_cast<double>(value);
  }
  SPIKESERVE_REQUIRE(accept != Accept::kBinary || sum <= static_cast<double>(array->values().size()));
}

// Bits are what bytes are, where these are not too many.
void RequireSameElements(const v1::Tensor& tensor, const BitArray& array) {
  const BitMatrixView& bits = array.bits();
  SPIKESERVE_REQUIRE(ElementCount(array.shape()) == bits.rows() * bits.cols());
  const auto bytes = Decode<uint8_t>(tensor, "tensor", Accept::kBinary, kMaxBytes);
  if (!bytes.ok()) return;
  SPIKESERVE_REQUIRE(bytes->shape() == array.shape());
  size_t i = 0;
  for (int64_t r = 0; r < bits.rows(); ++r) {
    for (int64_t c = 0; c < bits.cols(); ++c) SPIKESERVE_REQUIRE(bits(r, c) == (bytes->values()[i++] == 1));
  }
}

void Try(uint8_t choice, const v1::Tensor& tensor) {
  const Accept accept = static_cast<Accept>(choice % 4);
  if (accept == Accept::kBinary) TryDecode<uint8_t>(tensor, accept);
  if (accept == Accept::kBinary || accept == Accept::kInteger) TryDecode<int64_t>(tensor, accept);
  TryDecode<float>(tensor, accept);
  TryDecode<double>(tensor, accept);
  const auto bits = DecodeBits(tensor, "tensor", choice / 4 % 4, "a shape", kMaxBytes);
  if (bits.ok()) RequireSameElements(tensor, *bits);
  if (IsDense(tensor)) {
    const auto taken = DecodeTensor(tensor, "tensor", kMaxBytes);
    SPIKESERVE_REQUIRE(!taken.ok() || taken->shape().size() == static_cast<size_t>(tensor.shape_size()));
  }
  CheckShared(tensor, "tensor", kMaxBytes).IgnoreError();
}

}  // namespace
}  // namespace spikeserve::codec

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  spikeserve::v1::Tensor tensor;
  if (size > 0 && tensor.ParseFromArray(data + 1, static_cast<int>(size - 1))) spikeserve::codec::Try(data[0], tensor);
  return 0;
}

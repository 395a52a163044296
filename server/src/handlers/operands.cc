#include "handlers/operands.h"

#include <algorithm>
#include <limits>

#include "runtime/limits.h"

namespace spikeserve::server {
namespace {

// RESOURCE_EXHAUSTED where a result does not fit into a message, or into what may be in flight.
absl::Status CheckFits(DataType dtype, const Shape& shape, std::string_view field, const Context& context) {
  const int64_t bytes = ByteCount(dtype, shape).value_or(std::numeric_limits<int64_t>::max());
  if (bytes > context.limits.max_message_bytes) {
    return OverLimit(field, bytes, "bytes of result", context.limits.max_message_bytes, "--max-message-bytes");
  }
  return context.room.Expect(bytes);
}

}  // namespace

int64_t Product(std::initializer_list<int64_t> counts) {
  return ElementCount(absl::MakeConstSpan(counts.begin(), counts.size())).value_or(std::numeric_limits<int64_t>::max());
}

int64_t Elements(const codec::WireTensor& tensor) { return codec::ElementsOrRows(tensor.header); }

int64_t Rows(const codec::WireTensor& tensor) {
  return tensor.header.shape().empty() ? 1 : std::max<int64_t>(1, Product({tensor.header.shape(0)}));
}

absl::StatusOr<codec::BitArray> DecodeBitMatrix(const codec::WireTensor& tensor, std::string_view field,
                                                std::string_view needed, const Context& context) {
  SPIKESERVE_ASSIGN_OR_RETURN(codec::BitArray array,
                              codec::DecodeBits(tensor, field, /*row_dimensions=*/1, needed, context.room));
  SPIKESERVE_RETURN_IF_ERROR(codec::CheckRank(array.shape(), 2, field, needed));
  return array;
}

absl::Status EncodeResult(const TensorView& result, std::string_view field, const Context& context,
                          const codec::TensorTarget& out) {
  SPIKESERVE_RETURN_IF_ERROR(CheckFits(result.dtype(), result.shape(), field, context));
  codec::EncodeTensor(result, out);
  return absl::OkStatus();
}

absl::StatusOr<uint8_t*> ResultRoom(DataType dtype, const Shape& shape, std::string_view field, const Context& context,
                                    const codec::TensorTarget& out) {
  SPIKESERVE_RETURN_IF_ERROR(CheckFits(dtype, shape, field, context));
  return out.Room(dtype, shape);
}

}  // namespace spikeserve::server

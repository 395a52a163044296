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

int64_t LayoutBytes(int64_t rows, int64_t depth, int64_t element_bytes) {
  constexpr int64_t kRegister = 64, kSquare = sizeof(double);
  const int64_t lanes = kRegister / element_bytes;
  const int64_t panels = rows / lanes + (rows % lanes != 0);
  // Far above all limits, and sums of some of them are numbers still.
  constexpr int64_t kMost = int64_t{1} << 58;
  return std::min(kMost, Product({panels, depth, kRegister})) + std::min(kMost, Product({rows, kSquare}));
}

absl::Status TakeLayouts(int64_t x_rows, int64_t y_rows, int64_t depth, int64_t element_bytes, const Context& context) {
  // A few rows are laid out and multiplied a piece after the other.
  const int64_t lanes = 64 / element_bytes;
  if (x_rows <= lanes && y_rows <= lanes) return absl::OkStatus();
  return context.room.Take(LayoutBytes(x_rows, depth, element_bytes) + LayoutBytes(y_rows, depth, element_bytes), 1);
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

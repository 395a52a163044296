#include "handlers/operands.h"

#include <limits>

#include "runtime/limits.h"

namespace spikeserve::server {

absl::StatusOr<uint8_t*> ResultRoom(DataType dtype, const Shape& shape, std::string_view field, const Context& context,
                                    v1::Tensor* out) {
  const int64_t bytes = ByteCount(dtype, shape).value_or(std::numeric_limits<int64_t>::max());
  if (bytes > context.limits.max_message_bytes) {
    return OverLimit(field, bytes, "bytes of result", context.limits.max_message_bytes, "--max-message-bytes");
  }
  return codec::EncodeRoom(dtype, shape, out);
}

}  // namespace spikeserve::server

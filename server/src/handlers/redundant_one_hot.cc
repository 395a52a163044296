#include "spikeserve/compute/redundant_one_hot.h"

#include <vector>

#include "codec/tensor_codec.h"
#include "handlers/handlers.h"
#include "handlers/operands.h"

namespace spikeserve::server {

absl::StatusOr<v1::RedundantOneHotResponse> RedundantOneHot(const v1::RedundantOneHotRequest& request,
                                                            Context& context) {
  SPIKESERVE_ASSIGN_OR_RETURN(const DataType dtype,
                              codec::DecodeMaskType(request.mask_dtype(), DataType::kFloat32,
                                                    {DataType::kFloat32, DataType::kBool, DataType::kBit}));
  SPIKESERVE_ASSIGN_OR_RETURN(auto labels, codec::Decode<int64_t>(request.labels(), "labels", codec::Accept::kInteger,
                                                                  context.limits.max_decoded_bytes));
  SPIKESERVE_RETURN_IF_ERROR(codec::CheckRank(labels.shape(), 1, "labels", "[B]"));
  SPIKESERVE_ASSIGN_OR_RETURN(const int64_t width, RedundantOneHotWidth(request.num_classes(), request.n()));

  v1::RedundantOneHotResponse response;
  const Shape shape = {labels.shape()[0], width};
  // Bits are packed from bytes, which must fit as well.
  const DataType computed = dtype == DataType::kBit ? DataType::kBool : dtype;
  SPIKESERVE_ASSIGN_OR_RETURN(uint8_t * bytes, ResultRoom(computed, shape, "codes", context, response.mutable_codes()));
  const int64_t count = ElementCount(shape).value_or(0);
  if (dtype == DataType::kFloat32) {
    SPIKESERVE_RETURN_IF_ERROR(spikeserve::RedundantOneHot<float>(
        labels.values(), request.num_classes(), request.n(), absl::MakeSpan(reinterpret_cast<float*>(bytes), count)));
    return response;
  }
  SPIKESERVE_RETURN_IF_ERROR(spikeserve::RedundantOneHot<uint8_t>(labels.values(), request.num_classes(), request.n(),
                                                                  absl::MakeSpan(bytes, count)));
  if (dtype == DataType::kBit) {
    const std::vector<uint8_t> mask(bytes, bytes + count);
    codec::EncodeMask(absl::MakeConstSpan(mask), shape, dtype, response.mutable_codes());
  }
  return response;
}

}  // namespace spikeserve::server

#include "spikeserve/compute/redundant_one_hot.h"

#include <vector>

#include "codec/tensor_codec.h"
#include "handlers/handlers.h"
#include "handlers/operands.h"

namespace spikeserve::server {
namespace {

using Request = v1::RedundantOneHotRequest;
using Response = v1::RedundantOneHotResponse;

}  // namespace

int64_t RedundantOneHotWork(Incoming<Request> request) {
  return Product({Elements(request.tensor(Request::kLabelsFieldNumber)), request->num_classes(), request->n()});
}

absl::StatusOr<Outgoing<Response>> RedundantOneHot(Incoming<Request> request, Context& context) {
  SPIKESERVE_ASSIGN_OR_RETURN(const DataType dtype,
                              codec::DecodeMaskType(request->mask_dtype(), DataType::kFloat32,
                                                    {DataType::kFloat32, DataType::kBool, DataType::kBit}));
  SPIKESERVE_ASSIGN_OR_RETURN(auto labels,
                              codec::Decode<int64_t>(request.tensor(Request::kLabelsFieldNumber), "labels",
                                                     codec::Accept::kInteger, context.limits.max_decoded_bytes));
  SPIKESERVE_RETURN_IF_ERROR(codec::CheckRank(labels.shape(), 1, "labels", "[B]"));
  SPIKESERVE_ASSIGN_OR_RETURN(const int64_t width, RedundantOneHotWidth(request->num_classes(), request->n()));

  Outgoing<Response> response(context.buffers);
  const Shape shape = {labels.shape()[0], width};
  const int64_t count = ElementCount(shape).value_or(0);
  const codec::TensorTarget codes = response.tensor(Response::kCodesFieldNumber);
  SPIKESERVE_ASSIGN_OR_RETURN(uint8_t * bytes, ResultRoom(dtype, shape, "codes", context, codes));
  if (dtype == DataType::kFloat32) {
    SPIKESERVE_RETURN_IF_ERROR(spikeserve::RedundantOneHot<float>(
        labels.values(), request->num_classes(), request->n(), absl::MakeSpan(reinterpret_cast<float*>(bytes), count)));
    return response;
  }
  if (dtype == DataType::kBool) {
    SPIKESERVE_RETURN_IF_ERROR(spikeserve::RedundantOneHot<uint8_t>(labels.values(), request->num_classes(),
                                                                    request->n(), absl::MakeSpan(bytes, count)));
    return response;
  }
  std::vector<uint8_t> mask(static_cast<size_t>(count));
  SPIKESERVE_RETURN_IF_ERROR(spikeserve::RedundantOneHot<uint8_t>(labels.values(), request->num_classes(), request->n(),
                                                                  absl::MakeSpan(mask)));
  codec::EncodeMask(absl::MakeConstSpan(mask), shape, dtype, codes);
  return response;
}

}  // namespace spikeserve::server

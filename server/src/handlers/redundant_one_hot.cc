#include "spikeserve/compute/redundant_one_hot.h"

#include <cstddef>
#include <cstdint>

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
  SPIKESERVE_ASSIGN_OR_RETURN(auto labels, codec::Decode<int64_t>(request.tensor(Request::kLabelsFieldNumber), "labels",
                                                                  codec::Accept::kInteger, context.room));
  SPIKESERVE_RETURN_IF_ERROR(codec::CheckRank(labels.shape(), 1, "labels", "[B]"));
  SPIKESERVE_ASSIGN_OR_RETURN(const int64_t width, RedundantOneHotWidth(request->num_classes(), request->n()));

  Outgoing<Response> response(context.buffers);
  const Shape shape = {labels.shape()[0], width};
  SPIKESERVE_ASSIGN_OR_RETURN(uint8_t * bytes,
                              ResultRoom(dtype, shape, "codes", context, response.tensor(Response::kCodesFieldNumber)));
  const size_t size = static_cast<size_t>(ByteCount(dtype, shape).value_or(0));
  const auto write = [&]() -> absl::Status {
    switch (dtype) {
      case DataType::kBit:
        return RedundantOneHotBits(labels.values(), request->num_classes(), request->n(), absl::MakeSpan(bytes, size),
                                   context.executor);
      case DataType::kBool:
        return spikeserve::RedundantOneHot<uint8_t>(labels.values(), request->num_classes(), request->n(),
                                                    absl::MakeSpan(bytes, size), context.executor);
      default:
        return spikeserve::RedundantOneHot<float>(labels.values(), request->num_classes(), request->n(),
                                                  absl::MakeSpan(reinterpret_cast<float*>(bytes), size / sizeof(float)),
                                                  context.executor);
    }
  };
  SPIKESERVE_RETURN_IF_ERROR(write());
  return response;
}

}  // namespace spikeserve::server

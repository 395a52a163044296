#include "codec/option_codec.h"
#include "rpc_traits.h"
#include "spikeserve/v1/functions.pb.h"

namespace spikeserve {

template <>
struct RpcTraits<ThresholdMarginArgs> {
  using Request = v1::ThresholdMarginRequest;
  using Response = v1::ThresholdMarginResponse;

  static void Encode(const ThresholdMarginArgs& args, RequestBuilder<Request>& request) {
    request.Put(Request::kLabelOneHotFieldNumber, args.label_one_hot);
    request->set_training(args.training);
    codec::EncodeThresholdMargin(args.options, &*request);
  }

  static absl::StatusOr<Tensor> Decode(ResponseReader<Response>& response) {
    return response.Take(Response::kVThresholdFieldNumber, "v_threshold");
  }
};

SPIKESERVE_INSTANTIATE_CALL(ThresholdMarginArgs);

}  // namespace spikeserve

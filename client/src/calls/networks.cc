// The calls on networks.

#include <cstdint>

#include "absl/strings/str_cat.h"
#include "calls/network_target.h"
#include "calls/records.h"
#include "checkpoint.h"
#include "codec/nested_tensors.h"
#include "codec/network_codec.h"
#include "codec/network_state_codec.h"
#include "codec/option_codec.h"
#include "rpc_traits.h"
#include "spikeserve/v1/networks.pb.h"
#include "status_macros.h"

namespace spikeserve {

template <>
struct RpcTraits<CreateNetworkArgs> {
  using Request = v1::CreateNetworkRequest;
  using Response = v1::CreateNetworkResponse;

  static void Encode(const CreateNetworkArgs& args, RequestBuilder<Request>& request) {
    EncodeCheckpoint(args, *request);
  }

  static absl::StatusOr<CreateNetworkArgs::Result> Decode(ResponseReader<Response>& response) {
    return CreateNetworkArgs::Result{response->network()};
  }
};

template <>
struct RpcTraits<GetNetworkArgs> {
  using Request = v1::GetNetworkRequest;
  using Response = v1::GetNetworkResponse;

  static void Encode(const GetNetworkArgs& args, RequestBuilder<Request>& request) {
    EncodeTarget(args, *request);
    request->set_include_monitors(args.include_monitors);
    request->set_include_state(args.include_state);
    request->set_include_optimizer_state(args.include_optimizer_state);
    request->set_include_gradients(args.include_gradients);
  }

  static absl::StatusOr<GetNetworkArgs::Result> Decode(ResponseReader<Response>& response) {
    SPIKESERVE_RETURN_IF_ERROR(codec::CheckElementsAreThere(*response));
    constexpr int64_t kNoLimit = INT64_MAX;
    GetNetworkArgs::Result result;
    for (int i = 0; i < response->layers_size(); ++i) {
      SPIKESERVE_ASSIGN_OR_RETURN(LayerSpec layer,
                                  codec::DecodeLayer(response->layers(i), absl::StrCat("layers[", i, "]"), kNoLimit));
      result.layers.push_back(std::move(layer));
    }
    result.training = response->training();
    result.next_step = response->next_step();
    SPIKESERVE_ASSIGN_OR_RETURN(result.monitors, DecodeRecords(response->monitors()));
    SPIKESERVE_ASSIGN_OR_RETURN(result.state, codec::DecodeState(response->state(), "state", kNoLimit));
    SPIKESERVE_ASSIGN_OR_RETURN(result.optimizer_state,
                                codec::DecodeOptimizerState(response->optimizer_state(), "optimizer_state", kNoLimit));
    SPIKESERVE_ASSIGN_OR_RETURN(result.gradients,
                                codec::DecodeParameters(response->gradients(), "gradients", kNoLimit));
    return result;
  }
};

template <>
struct RpcTraits<ListNetworksArgs> {
  using Request = v1::ListNetworksRequest;
  using Response = v1::ListNetworksResponse;

  static void Encode(const ListNetworksArgs&, RequestBuilder<Request>&) {}

  static absl::StatusOr<ListNetworksArgs::Result> Decode(ResponseReader<Response>& response) {
    ListNetworksArgs::Result result;
    for (const auto& entry : response->networks()) {
      result.push_back({entry.network(), entry.bytes(), absl::Seconds(entry.idle_seconds())});
    }
    return result;
  }
};

template <>
struct RpcTraits<DeleteNetworkArgs> {
  using Request = v1::DeleteNetworkRequest;
  using Response = v1::DeleteNetworkResponse;

  static void Encode(const DeleteNetworkArgs& args, RequestBuilder<Request>& request) { EncodeTarget(args, *request); }

  static absl::StatusOr<DeleteNetworkArgs::Result> Decode(ResponseReader<Response>&) {
    return DeleteNetworkArgs::Result{};
  }
};

template <>
struct RpcTraits<SetTrainingArgs> : ChangeTraits<SetTrainingArgs, v1::SetTrainingRequest, v1::SetTrainingResponse> {
  static void Encode(const SetTrainingArgs& args, RequestBuilder<Request>& request) {
    EncodeTarget(args, *request);
    request->set_training(args.training);
  }
};

template <>
struct RpcTraits<ForwardArgs> {
  using Request = v1::ForwardRequest;
  using Response = v1::ForwardResponse;

  static void Encode(const ForwardArgs& args, RequestBuilder<Request>& request) {
    EncodeTarget(args, *request);
    request.Put(Request::kInputFieldNumber, args.input);
    EncodeStepOptions(args, *request);
    request->set_keep_trace(args.keep_trace);
  }

  static absl::StatusOr<ForwardArgs::Result> Decode(ResponseReader<Response>& response) {
    SPIKESERVE_ASSIGN_OR_RETURN(Tensor output, response.Take(Response::kOutputFieldNumber, "output"));
    SPIKESERVE_ASSIGN_OR_RETURN(auto records, DecodeRecords(response->records()));
    return ForwardArgs::Result{std::move(output), std::move(records), response->next_step()};
  }
};

template <>
struct RpcTraits<SetThresholdMarginArgs> {
  using Request = v1::SetThresholdMarginRequest;
  using Response = v1::SetThresholdMarginResponse;

  static void Encode(const SetThresholdMarginArgs& args, RequestBuilder<Request>& request) {
    EncodeTarget(args, *request);
    request->set_layer(args.layer);
    request.Put(Request::kLabelOneHotFieldNumber, args.label_one_hot);
    codec::EncodeThresholdMargin(args.options, &*request);
  }

  static absl::StatusOr<SetThresholdMarginArgs::Result> Decode(ResponseReader<Response>& response) {
    SPIKESERVE_ASSIGN_OR_RETURN(Tensor v_threshold, response.Take(Response::kVThresholdFieldNumber, "v_threshold"));
    return SetThresholdMarginArgs::Result{std::move(v_threshold), response->next_step()};
  }
};

template <>
struct RpcTraits<ResetNetArgs> : ChangeTraits<ResetNetArgs, v1::ResetNetRequest, v1::ResetNetResponse> {};

SPIKESERVE_INSTANTIATE_CALL(CreateNetworkArgs);
SPIKESERVE_INSTANTIATE_CALL(GetNetworkArgs);
SPIKESERVE_INSTANTIATE_CALL(ListNetworksArgs);
SPIKESERVE_INSTANTIATE_CALL(DeleteNetworkArgs);
SPIKESERVE_INSTANTIATE_CALL(SetTrainingArgs);
SPIKESERVE_INSTANTIATE_CALL(ForwardArgs);
SPIKESERVE_INSTANTIATE_CALL(SetThresholdMarginArgs);
SPIKESERVE_INSTANTIATE_CALL(ResetNetArgs);

}  // namespace spikeserve

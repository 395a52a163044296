// Every method is bound as a raw one, which gets the request's bytes: the generated code would parse on gRPC's few
// shared threads, and answer UNIMPLEMENTED without a message to bytes that do not parse. A reactor here only hands the
// call to the engine.

#include "rpc/services.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "grpcpp/grpcpp.h"
#include "grpcpp/impl/codegen/proto_utils.h"
#include "rpc/rich_status.h"
#include "runtime/happens_before.h"
#include "spikeserve/v1/functions.grpc.pb.h"
#include "spikeserve/v1/networks.grpc.pb.h"

namespace spikeserve::rpc {
namespace {

using grpc::ByteBuffer;
using grpc::CallbackServerContext;
using grpc::ServerUnaryReactor;
using server::Engine;
using server::Message;

// One call. Deletes itself when gRPC is done with it.
class UnaryCall final : public ServerUnaryReactor {
 public:
  UnaryCall(Engine& engine, const char* path, CallbackServerContext* context, const ByteBuffer* request,
            ByteBuffer* response)
      : context_(context), request_bytes_(request), response_bytes_(response) {
    server::Call call;
    call.path = path;
    call.request = [this](const Message& prototype) { return Parse(prototype); };
    call.deadline = absl::FromChrono(context->deadline());
    call.cancelled = [this] { return context_->IsCancelled(); };
    call.done = [this](server::MessageOr response) { Complete(std::move(response)); };
    engine.Submit(std::move(call));
  }

 private:
  absl::StatusOr<const Message*> Parse(const Message& prototype) {
    request_.reset(prototype.New());
    ByteBuffer bytes = *request_bytes_;  // Shares the slices; parsing uses it up.
    const size_t size = bytes.Length();
    if (!grpc::GenericDeserialize<grpc::ProtoBufferReader, Message>(&bytes, request_.get()).ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat("request: ", size, " bytes that do not parse; need a ", prototype.GetTypeName(), ", whole"));
    }
    return request_.get();
  }

  void Complete(server::MessageOr response) {
    request_.reset();
    bool own_buffer;
    grpc::Status status = response.ok() ? grpc::GenericSerialize<grpc::ProtoBufferWriter, Message>(
                                              **response, response_bytes_, &own_buffer)
                                        : ToGrpc(response.status());
    server::HappensBefore(this);
    Finish(std::move(status));
  }

  void OnDone() override {
    server::HappensAfter(this);
    delete this;
  }

  CallbackServerContext* const context_;
  const ByteBuffer* const request_bytes_;
  ByteBuffer* const response_bytes_;
  std::unique_ptr<Message> request_;
};

// Declares the override that binds one RPC: the generated base names each as a virtual method of its own.
#define SPIKESERVE_RPC(service, method)                                                                       \
  ServerUnaryReactor* method(CallbackServerContext* context, const ByteBuffer* request, ByteBuffer* response) \
      override {                                                                                              \
    return new UnaryCall(engine_, "/spikeserve.v1." #service "/" #method, context, request, response);        \
  }

using F = v1::SpikeFunctionService;
using RawFunctions = F::WithRawCallbackMethod_SpikeCluster<
    F::WithRawCallbackMethod_KernelDotProduct<F::WithRawCallbackMethod_SpikeSimilarLoss<
        F::WithRawCallbackMethod_RedundantOneHot<F::WithRawCallbackMethod_FirstSpikeIndex<
            F::WithRawCallbackMethod_ThresholdMargin<F::WithRawCallbackMethod_StcaLoss<F::Service>>>>>>>;

class FunctionService final : public RawFunctions {
 public:
  explicit FunctionService(Engine& engine) : engine_(engine) {}
  SPIKESERVE_RPC(SpikeFunctionService, SpikeCluster)
  SPIKESERVE_RPC(SpikeFunctionService, KernelDotProduct)
  SPIKESERVE_RPC(SpikeFunctionService, SpikeSimilarLoss)
  SPIKESERVE_RPC(SpikeFunctionService, RedundantOneHot)
  SPIKESERVE_RPC(SpikeFunctionService, FirstSpikeIndex)
  SPIKESERVE_RPC(SpikeFunctionService, ThresholdMargin)
  SPIKESERVE_RPC(SpikeFunctionService, StcaLoss)

 private:
  Engine& engine_;
};

using N = v1::SpikeNetworkService;
using RawNetworks =
    N::WithRawCallbackMethod_CreateNetwork<N::WithRawCallbackMethod_GetNetwork<N::WithRawCallbackMethod_ListNetworks<
        N::WithRawCallbackMethod_DeleteNetwork<N::WithRawCallbackMethod_SetTraining<N::WithRawCallbackMethod_Forward<
            N::WithRawCallbackMethod_SetThresholdMargin<N::WithRawCallbackMethod_ResetNet<N::Service>>>>>>>>;

class NetworkService final : public RawNetworks {
 public:
  explicit NetworkService(Engine& engine) : engine_(engine) {}
  SPIKESERVE_RPC(SpikeNetworkService, CreateNetwork)
  SPIKESERVE_RPC(SpikeNetworkService, GetNetwork)
  SPIKESERVE_RPC(SpikeNetworkService, ListNetworks)
  SPIKESERVE_RPC(SpikeNetworkService, DeleteNetwork)
  SPIKESERVE_RPC(SpikeNetworkService, SetTraining)
  SPIKESERVE_RPC(SpikeNetworkService, Forward)
  SPIKESERVE_RPC(SpikeNetworkService, SetThresholdMargin)
  SPIKESERVE_RPC(SpikeNetworkService, ResetNet)

 private:
  Engine& engine_;
};

#undef SPIKESERVE_RPC

}  // namespace

std::vector<std::unique_ptr<grpc::Service>> MakeServices(Engine& engine) {
  std::vector<std::unique_ptr<grpc::Service>> services;
  services.push_back(std::make_unique<FunctionService>(engine));
  services.push_back(std::make_unique<NetworkService>(engine));
  return services;
}

}  // namespace spikeserve::rpc

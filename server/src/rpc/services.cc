// Every method is bound as a raw one, which gets the request's bytes: the generated code would parse on gRPC's few
// shared threads, and answer UNIMPLEMENTED without a message to bytes that do not parse. A method here only hands the
// call to the engine.

#include "rpc/services.h"

#include <string>
#include <utility>

#include "absl/time/time.h"
#include "grpcpp/grpcpp.h"
#include "rpc/address.h"
#include "rpc/byte_buffer.h"
#include "rpc/caller_of.h"
#include "rpc/rich_status.h"
#include "rpc/sent_answer.h"
#include "rpc/stream_call.h"
#include "runtime/guarded.h"
#include "runtime/happens_before.h"
#include "shared_memory/shared_tensors.h"
#include "spikeserve/v1/functions.grpc.pb.h"
#include "spikeserve/v1/networks.grpc.pb.h"
#include "spikeserve/v1/server.grpc.pb.h"
#include "spikeserve/v1/streams.grpc.pb.h"
#include "spikeserve/v1/training.grpc.pb.h"
#include "status_macros.h"

namespace spikeserve::rpc {
namespace {

using grpc::ByteBuffer;
using grpc::CallbackServerContext;
using grpc::ServerUnaryReactor;
using server::Engine;
using server::Message;
using shared_memory::RegionStore;

// One call. Deletes itself when gRPC has written its answer.
class UnaryCall final : public ServerUnaryReactor {
 public:
  static ServerUnaryReactor* Start(const ServiceHost& host, const char* path, CallbackServerContext* context,
                                   const ByteBuffer* request, ByteBuffer* response) {
    absl::StatusOr<server::Caller> caller = CallerOf(*context, host.caller_rules);
    if (!caller.ok()) {
      host.engine.ReportRefusal(path, PeerOf(*context), caller.status());
      ServerUnaryReactor* const reactor = context->DefaultReactor();
      reactor->Finish(ToGrpc(caller.status()));
      return reactor;
    }
    auto* const self = new UnaryCall(host, context, request, response);
    server::Call call;
    call.path = path;
    call.caller = *std::move(caller);
    call.request = [self](const Message& prototype, BufferPool& buffers) { return self->Parse(prototype, buffers); };
    call.may_compute_at_once = true;
    call.request_bytes = request->Length();
    call.deadline = absl::FromChrono(context->deadline());
    call.cancelled = [context] { return context->IsCancelled(); };
    call.respond = [self](server::EnvelopeOr response) { return self->Respond(std::move(response)); };
    call.finish = [self](const absl::Status& status) { self->End(status); };
    host.engine.Submit(std::move(call));
    return self;
  }

  void OnCancel() override {}
  void OnDone() override {
    server::HappensAfter(this);
    Answers& answers = host_.answers;
    const bool counted = counted_;
    delete this;
    answers.End(counted);
  }
  // gRPC would have another thread call what is above, and to wake that takes longer than a small call.
  bool InternalInlineable() override { return true; }

 private:
  UnaryCall(const ServiceHost& host, CallbackServerContext* context, const ByteBuffer* request, ByteBuffer* response)
      : host_(host),
        context_(context),
        request_bytes_(request),
        response_bytes_(response),
        counted_(host.answers.Begin()),
        answer_(host) {}

  absl::StatusOr<const codec::Envelope*> Parse(const Message& prototype, BufferPool& buffers) {
    absl::StatusOr<codec::Envelope> request =
        FromByteBuffer(*request_bytes_, prototype, buffers, host_.engine.limits().max_decoded_bytes);
    if (!request.ok()) return std::move(request).status();
    request_ = *std::move(request);
    // Nothing points into it. gRPC would keep it until the client has the answer.
    const_cast<ByteBuffer*>(request_bytes_)->Clear();
    if (host_.shared_memory != nullptr && shared_memory::NamesSharedMemory(request_) && IsOnUnixSocket()) {
      SPIKESERVE_RETURN_IF_ERROR(
          shared_memory::Resolve(request_, *host_.shared_memory, host_.engine.limits().max_decoded_bytes));
    }
    return &request_;
  }

  bool IsOnUnixSocket() const { return IsUnixSocket(context_->peer()); }

  // Puts results where the caller wants them, if it says so.
  void PlaceResults(codec::Envelope& response) {
    if (host_.shared_memory == nullptr) return;
    const auto& metadata = context_->client_metadata();
    const auto offer = metadata.find(shared_memory::kResultMemoryKey);
    if (offer == metadata.end() || !IsOnUnixSocket()) return;
    shared_memory::PlaceResults({offer->second.data(), offer->second.size()}, *host_.shared_memory, response);
  }

  absl::Status Respond(server::EnvelopeOr response) {
    return server::Guarded([&] {
      if (!response.ok()) return response.status();
      PlaceResults(*response);
      *response_bytes_ = ToByteBuffer(*response);
      answer_.Begin(context_->c_call(), *response_bytes_, *response);
      return absl::OkStatus();
    });
  }

  void End(const absl::Status& status) {
    request_ = {};
    grpc::Status grpc_status = ToGrpc(status, *context_);
    server::HappensBefore(this);
    Finish(std::move(grpc_status));  // The call may be gone when this returns.
  }

  const ServiceHost& host_;
  CallbackServerContext* const context_;
  const ByteBuffer* const request_bytes_;
  ByteBuffer* const response_bytes_;
  const bool counted_;
  codec::Envelope request_;
  SentAnswer answer_;
};

// A call of a method that there is none of: gRPC would answer it without telling, and nobody would count it.
class UnknownCall final : public grpc::ServerGenericBidiReactor {
 public:
  UnknownCall(Engine& engine, const grpc::GenericCallbackServerContext& context) {
    const absl::Status status = server::UnknownMethod(context.method());
    engine.ReportRefusal(/*path=*/"", PeerOf(context), status);
    Finish(ToGrpc(status));
  }

  void OnDone() override { delete this; }
};

class UnknownMethods final : public grpc::CallbackGenericService {
 public:
  explicit UnknownMethods(Engine& engine) : engine_(engine) {}

  grpc::ServerGenericBidiReactor* CreateReactor(grpc::GenericCallbackServerContext* context) override {
    return new UnknownCall(engine_, *context);
  }

 private:
  Engine& engine_;
};

// Declares the override that binds one RPC: the generated base names each as a virtual method of its own.
#define SPIKESERVE_RPC(service, method)                                                                       \
  ServerUnaryReactor* method(CallbackServerContext* context, const ByteBuffer* request, ByteBuffer* response) \
      override {                                                                                              \
    return UnaryCall::Start(host_, "/spikeserve.v1." #service "/" #method, context, request, response);       \
  }

// The same of a streaming RPC.
#define SPIKESERVE_STREAM(service, method)                                        \
  StreamReactor* method(CallbackServerContext* context) override {                \
    return NewStreamCall(host_, "/spikeserve.v1." #service "/" #method, context); \
  }

using F = v1::SpikeFunctionService;
using RawFunctions = F::WithRawCallbackMethod_SpikeCluster<F::WithRawCallbackMethod_KernelDotProduct<
    F::WithRawCallbackMethod_KernelDotProductVjp<F::WithRawCallbackMethod_SpikeSimilarLoss<
        F::WithRawCallbackMethod_RedundantOneHot<F::WithRawCallbackMethod_FirstSpikeIndex<
            F::WithRawCallbackMethod_ThresholdMargin<F::WithRawCallbackMethod_StcaLoss<F::Service>>>>>>>>;

class FunctionService final : public RawFunctions {
 public:
  explicit FunctionService(const ServiceHost& host) : host_(host) {}
  SPIKESERVE_RPC(SpikeFunctionService, SpikeCluster)
  SPIKESERVE_RPC(SpikeFunctionService, KernelDotProduct)
  SPIKESERVE_RPC(SpikeFunctionService, KernelDotProductVjp)
  SPIKESERVE_RPC(SpikeFunctionService, SpikeSimilarLoss)
  SPIKESERVE_RPC(SpikeFunctionService, RedundantOneHot)
  SPIKESERVE_RPC(SpikeFunctionService, FirstSpikeIndex)
  SPIKESERVE_RPC(SpikeFunctionService, ThresholdMargin)
  SPIKESERVE_RPC(SpikeFunctionService, StcaLoss)

 private:
  const ServiceHost host_;
};

using N = v1::SpikeNetworkService;
using RawNetworks = N::WithRawCallbackMethod_CreateNetwork<
    N::WithRawCallbackMethod_GetNetwork<N::WithRawCallbackMethod_ListNetworks<N::WithRawCallbackMethod_DeleteNetwork<
        N::WithRawCallbackMethod_SetTraining<N::WithRawCallbackMethod_Forward<N::WithRawCallbackMethod_Run<
            N::WithRawCallbackMethod_SetThresholdMargin<N::WithRawCallbackMethod_ResetNet<N::Service>>>>>>>>>;

class NetworkService final : public RawNetworks {
 public:
  explicit NetworkService(const ServiceHost& host) : host_(host) {}
  SPIKESERVE_RPC(SpikeNetworkService, CreateNetwork)
  SPIKESERVE_RPC(SpikeNetworkService, GetNetwork)
  SPIKESERVE_RPC(SpikeNetworkService, ListNetworks)
  SPIKESERVE_RPC(SpikeNetworkService, DeleteNetwork)
  SPIKESERVE_RPC(SpikeNetworkService, SetTraining)
  SPIKESERVE_RPC(SpikeNetworkService, Forward)
  SPIKESERVE_RPC(SpikeNetworkService, SetThresholdMargin)
  SPIKESERVE_RPC(SpikeNetworkService, ResetNet)
  SPIKESERVE_STREAM(SpikeNetworkService, Run)

 private:
  const ServiceHost host_;
};

using T = v1::SpikeTrainingService;
using RawTraining = T::WithRawCallbackMethod_Backward<T::WithRawCallbackMethod_ZeroGradients<
    T::WithRawCallbackMethod_ApplyGradients<T::WithRawCallbackMethod_TrainStep<T::Service>>>>;

class TrainingService final : public RawTraining {
 public:
  explicit TrainingService(const ServiceHost& host) : host_(host) {}
  SPIKESERVE_RPC(SpikeTrainingService, Backward)
  SPIKESERVE_RPC(SpikeTrainingService, ZeroGradients)
  SPIKESERVE_RPC(SpikeTrainingService, ApplyGradients)
  SPIKESERVE_RPC(SpikeTrainingService, TrainStep)

 private:
  const ServiceHost host_;
};

using RawServer = v1::SpikeServerService::WithRawCallbackMethod_ServerStatistics<v1::SpikeServerService::Service>;

class ServerService final : public RawServer {
 public:
  explicit ServerService(const ServiceHost& host) : host_(host) {}
  SPIKESERVE_RPC(SpikeServerService, ServerStatistics)

 private:
  const ServiceHost host_;
};

using S = v1::SpikeStreamService;
using RawStreams = S::WithRawCallbackMethod_StreamSpikeCluster<S::WithRawCallbackMethod_StreamFirstSpikeIndex<
    S::WithRawCallbackMethod_StreamKernelDotProduct<S::WithRawCallbackMethod_StreamSpikeSimilarLoss<S::Service>>>>;

class StreamService final : public RawStreams {
 public:
  explicit StreamService(const ServiceHost& host) : host_(host) {}
  SPIKESERVE_STREAM(SpikeStreamService, StreamSpikeCluster)
  SPIKESERVE_STREAM(SpikeStreamService, StreamFirstSpikeIndex)
  SPIKESERVE_STREAM(SpikeStreamService, StreamKernelDotProduct)
  SPIKESERVE_STREAM(SpikeStreamService, StreamSpikeSimilarLoss)

 private:
  const ServiceHost host_;
};

#undef SPIKESERVE_RPC
#undef SPIKESERVE_STREAM

}  // namespace

std::unique_ptr<grpc::CallbackGenericService> MakeUnknownMethods(Engine& engine) {
  return std::make_unique<UnknownMethods>(engine);
}

std::vector<std::unique_ptr<grpc::Service>> MakeServices(const ServiceHost& host) {
  std::vector<std::unique_ptr<grpc::Service>> services;
  services.push_back(std::make_unique<FunctionService>(host));
  services.push_back(std::make_unique<NetworkService>(host));
  services.push_back(std::make_unique<TrainingService>(host));
  services.push_back(std::make_unique<StreamService>(host));
  services.push_back(std::make_unique<ServerService>(host));
  return services;
}

}  // namespace spikeserve::rpc

#include "spikeserve/client/health.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "channel.h"
#include "grpcpp/generic/generic_stub.h"
#include "grpcpp/grpcpp.h"
#include "rpc/grpc_lifetime.h"
#include "rpc/rich_status.h"
#include "status_macros.h"

namespace spikeserve {

absl::Status CheckHealth(std::string_view target, absl::Duration timeout, const ConnectOptions& options) {
  // Debian packages no .proto of grpc.health.v1. Its messages are as small as can be: the request for the server as a
  // whole is empty, and a response that says SERVING is field 1, a varint, of value 1.
  constexpr std::string_view kServing("\x08\x01", 2);
  rpc::KeepGrpcInitialized();
  SPIKESERVE_ASSIGN_OR_RETURN(const std::shared_ptr<grpc::Channel> channel, MakeChannel(target, options, {}));
  grpc::GenericStub stub(channel);
  grpc::ClientContext context;
  Authorization(options.token).AddTo(context);
  context.set_deadline(absl::ToChronoTime(absl::Now() + timeout));
  const grpc::Slice empty;
  const grpc::ByteBuffer request(&empty, 1);
  grpc::ByteBuffer response;
  grpc::CompletionQueue queue;
  auto call = stub.PrepareUnaryCall(&context, "/grpc.health.v1.Health/Check", request, &queue);
  call->StartCall();
  grpc::Status status;
  call->Finish(&response, &status, nullptr);
  void* tag;
  bool ok;
  queue.Next(&tag, &ok);
  if (!status.ok()) return rpc::FromGrpc(status);
  grpc::Slice bytes;
  if (!response.DumpToSingleSlice(&bytes).ok() ||
      std::string_view(reinterpret_cast<const char*>(bytes.begin()), bytes.size()) != kServing) {
    return absl::UnavailableError(absl::StrCat(std::string(target), " does not serve (it drains)"));
  }
  return absl::OkStatus();
}

}  // namespace spikeserve

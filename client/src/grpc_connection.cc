#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "connection.h"
#include "dispose.h"
#include "grpcpp/generic/generic_stub.h"
#include "grpcpp/grpcpp.h"
#include "grpcpp/impl/codegen/proto_utils.h"
#include "rpc/rich_status.h"
#include "runtime/happens_before.h"

namespace spikeserve {
namespace {

// What a call needs until it has ended.
struct CallState {
  grpc::ClientContext context;
  grpc::ByteBuffer request;
  grpc::ByteBuffer response;
};

class GrpcConnection final : public Connection {
 public:
  explicit GrpcConnection(const std::string& target) : stub_(MakeChannel(target)) {}

  void Start(const Rpc& rpc, std::function<void(absl::Status)> done) override {
    auto state = std::make_shared<CallState>();
    bool own_buffer;
    const grpc::Status serialized =
        grpc::GenericSerialize<grpc::ProtoBufferWriter, Message>(*rpc.request, &state->request, &own_buffer);
    if (!serialized.ok()) return done(rpc::FromGrpc(serialized));
    if (rpc.deadline != absl::InfiniteFuture()) state->context.set_deadline(absl::ToChronoTime(rpc.deadline));

    stub_.UnaryCall(
        &state->context, std::string(rpc.path), grpc::StubOptions(), &state->request, &state->response,
        server::HandedOver([state, response = rpc.response, done = std::move(done)](grpc::Status status) mutable {
          const CallbackScope scope;
          if (status.ok()) {
            status = grpc::GenericDeserialize<grpc::ProtoBufferReader, Message>(&state->response, response);
          }
          // The context holds the channel: see Dispose.
          state.reset();
          std::exchange(done, nullptr)(WithHint(rpc::FromGrpc(status)));
        }));
  }

 private:
  static std::shared_ptr<grpc::Channel> MakeChannel(const std::string& target) {
    grpc::ChannelArguments arguments;
    // The server's limit is what counts, for requests and for responses.
    arguments.SetMaxReceiveMessageSize(-1);
    arguments.SetMaxSendMessageSize(-1);
    // A server that vanished without closing the connection is noticed while calls wait for it. The server allows pings
    // every 10 seconds.
    arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 30'000);
    arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 10'000);
    return grpc::CreateCustomChannel(target, grpc::InsecureChannelCredentials(), arguments);
  }

  // gRPC itself refuses a message over the limit, and knows nothing of the flag that sets it.
  static absl::Status WithHint(absl::Status status) {
    constexpr absl::string_view kTooLarge = "eceived message larger than max";
    if (status.code() != absl::StatusCode::kResourceExhausted ||
        status.message().find(kTooLarge) == absl::string_view::npos) {
      return status;
    }
    return absl::ResourceExhaustedError(
        absl::StrCat(status.message(), "; need a smaller request, or a larger --max-message-bytes of the server"));
  }

  grpc::GenericStub stub_;
};

}  // namespace

std::shared_ptr<Connection> MakeGrpcConnection(std::string_view target) {
  return {new GrpcConnection(std::string(target)), Dispose<GrpcConnection>};
}

}  // namespace spikeserve

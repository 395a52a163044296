#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "connection.h"
#include "dispose.h"
#include "grpcpp/generic/generic_stub.h"
#include "grpcpp/grpcpp.h"
#include "rpc/byte_buffer.h"
#include "rpc/rich_status.h"
#include "shared_memory/shared_tensors.h"

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
  GrpcConnection(const std::string& target, const ConnectOptions& options)
      : stub_(MakeChannel(target)), buffers_(options.max_idle_buffer_bytes) {}

  void Start(const Rpc& rpc, std::function<void(absl::Status)> done) override {
    auto state = std::make_shared<CallState>();
    state->request = rpc::ToByteBuffer(*rpc.request);
    if (rpc.deadline != absl::InfiniteFuture()) state->context.set_deadline(absl::ToChronoTime(rpc.deadline));
    if (!rpc.result_memory.empty()) {
      state->context.AddMetadata(shared_memory::kResultMemoryKey, std::string(rpc.result_memory));
    }

    stub_.UnaryCall(&state->context, std::string(rpc.path), grpc::StubOptions(), &state->request, &state->response,
                    [this, state, response = rpc.response, done = std::move(done)](const grpc::Status& status) mutable {
                      const CallbackScope scope;
                      absl::Status result =
                          status.ok() ? Read(state->response, *response) : WithHint(rpc::FromGrpc(status));
                      // The context holds the channel: see Dispose.
                      state.reset();
                      std::exchange(done, nullptr)(std::move(result));
                    });
  }

  BufferPool& buffers() override { return buffers_; }

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

  absl::Status Read(const grpc::ByteBuffer& bytes, codec::Envelope& response) {
    absl::StatusOr<codec::Envelope> read = rpc::FromByteBuffer(bytes, *response.message, buffers_);
    if (!read.ok()) return absl::InternalError(absl::StrCat("the server's response: ", read.status().message()));
    response = *std::move(read);
    return absl::OkStatus();
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
  BufferPool buffers_;
};

}  // namespace

std::shared_ptr<Connection> MakeGrpcConnection(std::string_view target, const ConnectOptions& options) {
  return {new GrpcConnection(std::string(target), options), Dispose<GrpcConnection>};
}

}  // namespace spikeserve

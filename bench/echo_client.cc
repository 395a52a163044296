#include "bench/echo_client.h"

#include <future>
#include <memory>
#include <stdexcept>
#include <utility>

#include "grpcpp/grpcpp.h"

namespace spikeserve::bench {
namespace {

std::shared_ptr<grpc::Channel> MakeChannel(const std::string& address) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(-1);
  arguments.SetMaxSendMessageSize(-1);
  // A connection of its own for each client, as each of spikeserve's has.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  return grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments);
}

grpc::ByteBuffer OneSlice(const std::string& bytes) {
  const grpc::Slice slice(bytes.data(), bytes.size(), grpc::Slice::STATIC_SLICE);
  return grpc::ByteBuffer(&slice, 1);
}

struct CallState {
  grpc::ClientContext context;
  grpc::ByteBuffer request;
  grpc::ByteBuffer response;
};

}  // namespace

EchoClient::EchoClient(const std::string& address, const std::string& method, size_t request_bytes)
    : stub_(MakeChannel(address)),
      path_("/spikeserve.bench.Echo/" + method),
      bytes_(request_bytes, '\1'),
      request_(OneSlice(bytes_)) {}

void EchoClient::Start(std::function<void(absl::Status)> done) {
  auto state = std::make_shared<CallState>();
  state->request = request_;  // Shares the slice.
  stub_.UnaryCall(&state->context, path_, grpc::StubOptions(), &state->request, &state->response,
                  [state, done = std::move(done)](const grpc::Status& status) {
                    done(absl::Status(static_cast<absl::StatusCode>(status.error_code()), status.error_message()));
                  });
}

void EchoClient::Call() {
  std::promise<absl::Status> promise;
  Start([&](absl::Status status) { promise.set_value(std::move(status)); });
  if (const absl::Status status = promise.get_future().get(); !status.ok()) throw std::runtime_error(status.ToString());
}

}  // namespace spikeserve::bench

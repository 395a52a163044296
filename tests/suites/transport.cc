#include "suites/transport.h"

#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <future>

#include "absl/strings/str_cat.h"
#include "support/envelopes.h"

namespace spikeserve::testing {

std::string ToString(TransportKind kind) {
  switch (kind) {
    case TransportKind::kInProcess:
      return "InProcess";
    case TransportKind::kTcp:
      return "Tcp";
    case TransportKind::kUds:
      return "Uds";
    case TransportKind::kSharedMemory:
      return "SharedMemory";
  }
  return "";
}

Transport::Transport(TransportKind kind, const server::EngineOptions& options) {
  if (kind == TransportKind::kInProcess) {
    connection_ = MakeInProcessConnection(std::make_unique<server::Engine>(options));
    return;
  }
  static std::atomic<int> count = 0;
  rpc::ServerOptions server_options;
  server_options.engine = options;
  server_options.listen = {kind == TransportKind::kTcp
                               ? "127.0.0.1:0"
                               : absl::StrCat("unix:", ::testing::TempDir(), "spikeserve-", getpid(), "-", count++)};
  if (kind == TransportKind::kSharedMemory) server_options.shared_memory = shared_memory::Quota();
  absl::StatusOr<std::unique_ptr<rpc::Server>> server = rpc::Server::Start(server_options);
  if (!server.ok()) {
    ADD_FAILURE() << server.status();
    std::abort();
  }
  server_ = *std::move(server);
  address_ = server_->addresses()[0];
  connection_ = MakeGrpcConnection(address_);
  if (kind == TransportKind::kSharedMemory) {
    connection_ = *MakeSharedMemoryConnection(connection_, address_, {.min_shared_tensor_bytes = 1});
  }
}

absl::Status Transport::Call(std::string_view path, const Message& request, Message* response) {
  absl::StatusOr<codec::Envelope> sent = ToEnvelope(request, connection_->buffers());
  if (!sent.ok()) return sent.status();
  codec::Envelope received{std::unique_ptr<Message>(response->New()), {}};
  std::promise<absl::Status> promise;
  connection_->Start({path, /*repeatable=*/false, &*sent, &received, absl::InfiniteFuture()},
                     [&](absl::Status status) { promise.set_value(std::move(status)); });
  const absl::Status status = promise.get_future().get();
  if (!status.ok()) return status;
  if (!response->ParseFromString(Serialized(received))) return absl::InternalError("the response does not parse");
  return absl::OkStatus();
}

}  // namespace spikeserve::testing

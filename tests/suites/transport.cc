#include "suites/transport.h"

#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <future>

#include "absl/strings/str_cat.h"

namespace spikeserve::testing {

std::string ToString(TransportKind kind) {
  switch (kind) {
    case TransportKind::kInProcess:
      return "InProcess";
    case TransportKind::kTcp:
      return "Tcp";
    case TransportKind::kUds:
      return "Uds";
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
  absl::StatusOr<std::unique_ptr<rpc::Server>> server = rpc::Server::Start(server_options);
  if (!server.ok()) {
    ADD_FAILURE() << server.status();
    std::abort();
  }
  server_ = *std::move(server);
  address_ = server_->addresses()[0];
  connection_ = MakeGrpcConnection(address_);
}

absl::Status Transport::Call(std::string_view path, const Message& request, Message* response) {
  std::promise<absl::Status> promise;
  connection_->Start({path, /*repeatable=*/false, &request, response, absl::InfiniteFuture()},
                     [&](absl::Status status) { promise.set_value(std::move(status)); });
  return promise.get_future().get();
}

}  // namespace spikeserve::testing

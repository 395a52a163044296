#include "suites/transport.h"

#include <atomic>
#include <cstdlib>
#include <fstream>
#include <future>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "grpcpp/grpcpp.h"
#include "identity/tokens.h"
#include "support/certificates.h"
#include "support/envelopes.h"
#include "support/test_folder.h"

namespace spikeserve::testing {
namespace {

constexpr char kToken[] = "a-token-for-tests";

// What both sides of kTls are given, the same for all tests of a process.
struct Files {
  Files() {
    const CertificateAuthority authority;
    const KeyPair server = authority.Issue(), client = authority.Issue({.common_name = "a client"});
    ca = WriteTestFile("ca.pem", authority.certificate());
    server_certificate = WriteTestFile("server.pem", server.certificate);
    server_key = WriteTestFile("server.key", server.key);
    client_certificate = WriteTestFile("client.pem", client.certificate);
    client_key = WriteTestFile("client.key", client.key);
    tokens = WriteTestFile("tokens", identity::TokenLine("a-name", kToken));
  }

  std::string ca, server_certificate, server_key, client_certificate, client_key, tokens;
};

const Files& TestFiles() {
  static const Files& files = *new Files();
  return files;
}

}  // namespace

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
    case TransportKind::kTls:
      return "Tls";
  }
  return "";
}

Transport::Transport(TransportKind kind, const server::EngineOptions& options) {
  if (kind == TransportKind::kInProcess) {
    connection_ = MakeInProcessConnection(std::make_unique<server::Engine>(options));
    return;
  }
  static const TestFolder folder;
  static std::atomic<int> count = 0;
  rpc::ServerOptions server_options;
  server_options.engine = options;
  server_options.listen = {kind == TransportKind::kTcp || kind == TransportKind::kTls
                               ? "127.0.0.1:0"
                               : absl::StrCat("unix:", folder.path(), "/", count++)};
  if (kind == TransportKind::kSharedMemory) server_options.shared_memory = shared_memory::Quota();
  if (kind == TransportKind::kTls) {
    const Files& files = TestFiles();
    server_options.tls = {.certificate = files.server_certificate, .key = files.server_key, .client_ca = files.ca};
    server_options.tokens = files.tokens;
    connect_options_.tls = {
        .ca_file = files.ca, .certificate_file = files.client_certificate, .key_file = files.client_key};
    connect_options_.token = kToken;
  }
  absl::StatusOr<std::unique_ptr<rpc::Server>> server = rpc::Server::Start(server_options);
  if (!server.ok()) {
    ADD_FAILURE() << server.status();
    std::abort();
  }
  server_ = *std::move(server);
  address_ = server_->addresses()[0];
  connection_ = *MakeGrpcConnection(address_, connect_options_);
  if (kind == TransportKind::kSharedMemory) {
    connection_ = *MakeSharedMemoryConnection(connection_, address_, {.min_shared_tensor_bytes = 1});
  }
}

std::shared_ptr<grpc::Channel> Transport::NewChannel() const {
  if (!connect_options_.tls) return grpc::CreateChannel(address_, grpc::InsecureChannelCredentials());
  const auto read = [](const std::string& path) {
    return std::string(std::istreambuf_iterator<char>(std::ifstream(path).rdbuf()), {});
  };
  const TlsOptions& tls = *connect_options_.tls;
  return grpc::CreateChannel(
      address_, grpc::CompositeChannelCredentials(
                    grpc::SslCredentials({read(tls.ca_file), read(tls.key_file), read(tls.certificate_file)}),
                    grpc::AccessTokenCredentials(connect_options_.token)));
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

// The gRPC server: listeners, services, health, reflection, and an orderly end.

#ifndef SPIKESERVE_SERVER_RPC_SERVER_H_
#define SPIKESERVE_SERVER_RPC_SERVER_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "grpcpp/generic/async_generic_service.h"
#include "grpcpp/impl/codegen/service_type.h"
#include "grpcpp/server.h"
#include "identity/tokens.h"
#include "rpc/answers.h"
#include "rpc/credentials.h"
#include "runtime/engine.h"
#include "runtime/event.h"
#include "shared_memory/handover_server.h"
#include "shared_memory/region_store.h"

namespace spikeserve::rpc {

// What a connection may do and how long it lives.
struct ConnectionOptions {
  // Calls of one connection at the same time; a client keeps back those beyond.
  int64_t max_streams = 256;
  // After about so long (a tenth more or less) a connection is closed gently: its calls go on for `max_age_grace`, and
  // are ended with UNAVAILABLE then; the client makes a new one, maybe to another server.
  absl::Duration max_age = absl::InfiniteDuration();
  absl::Duration max_age_grace = absl::Seconds(30);
  // A connection on which nothing came for so long is pinged; one that does not answer within `keepalive_timeout` is
  // closed: its client has vanished without a word.
  absl::Duration keepalive_time = absl::Seconds(30);
  absl::Duration keepalive_timeout = absl::Seconds(20);
  // An answer that its client has not taken all of after so long (and more for a very large one: see
  // PeerAllowances) is given up when others need its memory.
  absl::Duration untaken_answer_timeout = absl::Seconds(5);
};

struct ServerOptions {
  // "HOST:PORT", where port 0 is a free one, or "unix:PATH".
  std::vector<std::string> listen = {"127.0.0.1:50051"};
  server::EngineOptions engine;
  ConnectionOptions connections;
  // Clients on the "unix:" listeners may share memory, so much each user; nullopt: they may not.
  std::optional<shared_memory::Quota> shared_memory = std::nullopt;
  // Called before the server listens, once its addresses are found to be free, such as to give the engine the networks
  // that an earlier one held; an error ends the start.
  std::function<absl::Status(server::Engine&)> before_listening = [](server::Engine&) { return absl::OkStatus(); };

  // On all listeners but "unix:"; nullopt: connections are not encrypted.
  std::optional<TlsFiles> tls = std::nullopt;
  // Addresses that other machines reach may be listened on without TLS.
  bool insecure = false;
  // The file of the tokens of which every call needs one; empty: calls need none.
  std::string tokens = {};
  // Those files change, or cannot be taken; clients do not take their answers; what the engine tells.
  server::EventSink events = [](const server::Event&) {};
};

// Thread-safe. The destructor shuts down at once.
class Server {
 public:
  // INVALID_ARGUMENT for options that no server can have: an address that is none, or that other machines reach without
  // TLS; shared memory without a "unix:" address; certificates and tokens that are not what they should be.
  static absl::Status Check(const ServerOptions& options);

  // Serves from here on. Errors: those of Check; UNAVAILABLE for an address that cannot be listened on.
  static absl::StatusOr<std::unique_ptr<Server>> Start(const ServerOptions& options);
  ~Server();

  // The addresses it listens on, in the order of the options, free ports filled in.
  const std::vector<std::string>& addresses() const { return addresses_; }

  // Lives as long as the server.
  server::Engine& engine() { return *engine_; }

  // Answers health checks with NOT_SERVING, and serves on: whoever balances load has time to look elsewhere.
  void AnnounceDrain();

  // Answers health checks with NOT_SERVING and new calls with UNAVAILABLE, and waits until those that were accepted are
  // answered. After `timeout` the rest are ended with UNAVAILABLE; returns how many there were. Health checks and
  // reflection, which may go on for ever, are not waited for.
  int64_t Drain(absl::Duration timeout);

  // When the certificate that is in use expires; infinite future without TLS.
  absl::Time CertificateExpiry() const;

 private:
  explicit Server(const ServerOptions& options);
  server::EngineOptions EngineOptionsOf(const ServerOptions& options);

  std::vector<std::string> addresses_;
  Answers answers_;
  std::unique_ptr<server::Engine> engine_;
  std::shared_ptr<shared_memory::RegionStore> shared_memory_;  // Null where it is not offered.
  std::unique_ptr<shared_memory::HandoverServer> handover_;
  std::unique_ptr<TlsCredentials> tls_;          // Null: without encryption.
  std::unique_ptr<identity::TokenFile> tokens_;  // Null: calls need none.
  std::vector<std::unique_ptr<grpc::Service>> services_;
  std::unique_ptr<grpc::CallbackGenericService> unknown_methods_;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace spikeserve::rpc

#endif  // SPIKESERVE_SERVER_RPC_SERVER_H_

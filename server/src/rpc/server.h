// The gRPC server: listeners, services, health, reflection, and an orderly end.

#ifndef SPIKESERVE_SERVER_RPC_SERVER_H_
#define SPIKESERVE_SERVER_RPC_SERVER_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "grpcpp/impl/codegen/service_type.h"
#include "grpcpp/server.h"
#include "runtime/engine.h"
#include "shared_memory/handover_server.h"
#include "shared_memory/region_store.h"

namespace spikeserve::rpc {

struct ServerOptions {
  // "HOST:PORT", where port 0 is a free one, or "unix:PATH".
  std::vector<std::string> listen = {"127.0.0.1:50051"};
  server::EngineOptions engine;
  // Clients on the "unix:" listeners may share memory, so much each user; nullopt: they may not.
  std::optional<shared_memory::Quota> shared_memory = std::nullopt;
};

// Thread-safe. The destructor shuts down at once.
class Server {
 public:
  // INVALID_ARGUMENT for options that no server can have: an address that is none, shared memory without a "unix:"
  // address.
  static absl::Status Check(const ServerOptions& options);

  // Serves from here on. Errors: those of Check; UNAVAILABLE for an address that cannot be listened on.
  static absl::StatusOr<std::unique_ptr<Server>> Start(const ServerOptions& options);
  ~Server();

  // The addresses it listens on, in the order of the options, free ports filled in.
  const std::vector<std::string>& addresses() const { return addresses_; }

  // What it serves.
  server::Engine& engine() { return *engine_; }

  // Answers health checks with NOT_SERVING and new calls with UNAVAILABLE, and waits until those that were accepted are
  // answered. After `timeout` the rest are cancelled. Returns whether all were answered.
  bool Drain(absl::Duration timeout);

 private:
  explicit Server(const ServerOptions& options);

  std::vector<std::string> addresses_;
  std::unique_ptr<server::Engine> engine_;
  std::shared_ptr<shared_memory::RegionStore> shared_memory_;  // Null where it is not offered.
  std::unique_ptr<shared_memory::HandoverServer> handover_;
  std::vector<std::unique_ptr<grpc::Service>> services_;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace spikeserve::rpc

#endif  // SPIKESERVE_SERVER_RPC_SERVER_H_

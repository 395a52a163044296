#include "rpc/server.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "grpcpp/ext/proto_server_reflection_plugin.h"
#include "grpcpp/grpcpp.h"
#include "grpcpp/health_check_service_interface.h"
#include "grpcpp/resource_quota.h"
#include "rpc/address.h"
#include "rpc/grpc_lifetime.h"
#include "rpc/listening.h"
#include "rpc/sent.h"
#include "rpc/services.h"
#include "runtime/happens_before.h"
#include "runtime/stopwatch.h"
#include "shared_memory/handover_socket.h"
#include "spikeserve/compute/field_error.h"
#include "status_macros.h"

namespace spikeserve::rpc {
namespace {

// Where clients hand over memory: a socket beside each "unix:" one.
absl::StatusOr<std::vector<std::string>> HandoverPaths(const std::vector<std::string>& listen) {
  std::vector<std::string> paths;
  for (const std::string& address : listen) {
    if (!absl::StartsWith(address, "unix:")) continue;
    SPIKESERVE_ASSIGN_OR_RETURN(std::string path, shared_memory::HandoverPath(address, "--listen"));
    paths.push_back(std::move(path));
  }
  if (paths.empty()) return InvalidField("--shared-memory", "no --listen=unix:PATH", "one at least");
  return paths;
}

// Without TLS whoever is on the way reads all and changes all: not by accident.
absl::Status CheckEncryption(const ServerOptions& options) {
  if (options.tls) {
    const bool any =
        std::any_of(options.listen.begin(), options.listen.end(), [](auto& a) { return !IsUnixSocket(a); });
    return any ? TlsCredentials::Check(*options.tls)
               : InvalidField("--tls-cert", "no --listen=HOST:PORT (unix: is not encrypted)", "one at least");
  }
  for (const std::string& address : options.listen) {
    if (options.insecure || IsLocal(address)) continue;
    return InvalidField("--listen", absl::StrCat(address, " without TLS"),
                        "--tls-cert and --tls-key, a loopback address or unix:PATH, or --insecure if it is meant");
  }
  return absl::OkStatus();
}

int ToInt(int64_t bytes) { return static_cast<int>(std::min<int64_t>(bytes, std::numeric_limits<int>::max())); }

int ToMilliseconds(absl::Duration duration) {
  return static_cast<int>(std::min<int64_t>(absl::ToInt64Milliseconds(duration), std::numeric_limits<int>::max()));
}

// That the last answers are sent, at the least.
constexpr absl::Duration kSending = absl::Seconds(1);

// For what is not waited for any longer, to be told so.
constexpr absl::Duration kLastWords = absl::Milliseconds(200);

void LimitConnections(const ConnectionOptions& options, grpc::ServerBuilder& builder) {
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, ToInt(options.max_streams));
  builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_MS, ToMilliseconds(options.max_age));
  builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_GRACE_MS, ToMilliseconds(options.max_age_grace));
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, ToMilliseconds(options.keepalive_time));
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, ToMilliseconds(options.keepalive_timeout));
  // Clients that look for a vanished server as often as ours do are no attackers.
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 10'000);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
}

}  // namespace

Server::Server(const ServerOptions& options)
    : answers_(options.connections.untaken_answer_timeout),
      engine_(std::make_unique<server::Engine>(EngineOptionsOf(options))),
      shared_memory_(options.shared_memory ? std::make_shared<shared_memory::RegionStore>(*options.shared_memory)
                                           : nullptr) {}

server::EngineOptions Server::EngineOptionsOf(const ServerOptions& options) {
  server::EngineOptions engine = options.engine;
  engine.events = options.events;
  engine.give_up_untaken = [this, events = options.events] {
    const int64_t answers = answers_.GiveUpUntaken();
    if (answers > 0) {
      events({server::Severity::kWarning,
              "answers given up: their clients did not take them, and others need the memory",
              {{"answers", answers}}});
    }
    return answers;
  };
  return engine;
}

absl::Status Server::Check(const ServerOptions& options) {
  if (options.listen.empty()) return InvalidField("--listen", "absent", "at least one address");
  for (const std::string& address : options.listen) SPIKESERVE_RETURN_IF_ERROR(CheckListenAddress(address));
  if (options.shared_memory) SPIKESERVE_RETURN_IF_ERROR(HandoverPaths(options.listen).status());
  SPIKESERVE_RETURN_IF_ERROR(CheckEncryption(options));
  return options.tokens.empty() ? absl::OkStatus() : identity::TokenFile::Check(options.tokens);
}

absl::StatusOr<std::unique_ptr<Server>> Server::Start(const ServerOptions& options) {
  KeepGrpcInitialized();
  SPIKESERVE_RETURN_IF_ERROR(Check(options));
  // Before anything is loaded, which takes long and may change files.
  for (const std::string& address : options.listen) {
    SPIKESERVE_RETURN_IF_ERROR(CheckPathFree(address));
    SPIKESERVE_RETURN_IF_ERROR(CheckPortFree(address));
  }
  ServerOptions known = options;
  std::unique_ptr<identity::TokenFile> tokens;
  if (!options.tokens.empty()) {
    SPIKESERVE_ASSIGN_OR_RETURN(tokens, identity::TokenFile::Open(options.tokens, options.events));
    known.engine.identities = tokens->Names();
  }
  std::unique_ptr<Server> self(new Server(known));
  self->tokens_ = std::move(tokens);
  SPIKESERVE_RETURN_IF_ERROR(options.before_listening(*self->engine_));
  if (options.shared_memory) {
    SPIKESERVE_ASSIGN_OR_RETURN(const std::vector<std::string> paths, HandoverPaths(options.listen));
    SPIKESERVE_ASSIGN_OR_RETURN(self->handover_, shared_memory::HandoverServer::Start(paths, self->shared_memory_));
  }

  if (options.tls) {
    SPIKESERVE_ASSIGN_OR_RETURN(self->tls_, TlsCredentials::Load(*options.tls, options.events));
  }
  self->services_ =
      MakeServices({.engine = *self->engine_,
                    .shared_memory = self->shared_memory_.get(),
                    .caller_rules = {.tokens = self->tokens_.get(),
                                     .client_certificates = options.tls && !options.tls->client_ca.empty()},
                    .answers = self->answers_});
  self->unknown_methods_ = MakeUnknownMethods(*self->engine_);
  grpc::EnableDefaultHealthCheckService(true);
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  grpc::ServerBuilder builder;
  for (const auto& service : self->services_) builder.RegisterService(service.get());
  builder.RegisterCallbackGenericService(self->unknown_methods_.get());
  builder.SetMaxReceiveMessageSize(ToInt(options.engine.limits.max_message_bytes));
  builder.SetMaxSendMessageSize(ToInt(options.engine.limits.max_message_bytes));
  // Of requests that have not come whole yet, and that maybe nobody will ever end, only gRPC knows: where they take too
  // much it ends some of them. What it needs itself comes on top.
  constexpr int64_t kOwn = 64 << 20;
  const int64_t limit = options.engine.limits.max_bytes_in_flight;
  grpc::ResourceQuota received("received");
  received.Resize(static_cast<size_t>(std::min(limit, std::numeric_limits<int64_t>::max() - kOwn) + kOwn));
  builder.SetResourceQuota(received);
  // With SO_REUSEPORT a second server could take the same port unnoticed, and half of the calls.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  LimitConnections(options.connections, builder);
  // More than a proxy forwards (SECURITY.md): gRPC 1.51 misreads what comes after headers that are too large.
  builder.AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, 128 << 10);
  std::vector<int> ports(options.listen.size(), -1);
  for (size_t i = 0; i < options.listen.size(); ++i) {
    // Somebody may have taken it meanwhile.
    SPIKESERVE_RETURN_IF_ERROR(CheckPortFree(options.listen[i]));
    const bool encrypted = self->tls_ != nullptr && !IsUnixSocket(options.listen[i]);
    builder.AddListeningPort(options.listen[i],
                             encrypted ? self->tls_->credentials() : grpc::InsecureServerCredentials(), &ports[i]);
  }
  self->server_ = builder.BuildAndStart();
  for (size_t i = 0; i < options.listen.size(); ++i) {
    std::string address = options.listen[i];
    // gRPC sets a port of 0 for an address that it cannot bind, also where it then serves the others.
    if (ports[i] <= 0) {
      return CannotListen(address);
    }
    if (!IsUnixSocket(address)) address = absl::StrCat(address.substr(0, address.rfind(':') + 1), ports[i]);
    self->addresses_.push_back(std::move(address));
  }
  if (self->server_ == nullptr) return absl::UnavailableError("the server did not start");
  return self;
}

Server::~Server() {
  if (server_ != nullptr) Drain(absl::ZeroDuration());
}

void Server::AnnounceDrain() {
  engine_->AnnounceDrain();
  server_->GetHealthCheckService()->SetServingStatus(false);
}

int64_t Server::Drain(absl::Duration timeout) {
  const server::Stopwatch watch;
  AnnounceDrain();
  // The regions stay until the calls that were accepted are answered.
  if (handover_ != nullptr) handover_->StopListening();
  // First of all the engine's part: gRPC, once it is told to end, resets calls that arrive meanwhile, and their clients
  // would take that for CANCELLED.
  int64_t left = engine_->Drain(timeout);
  answers_.Close();
  // Then what gRPC has to send. A call that was ended above is counted already.
  const absl::Duration rest = std::max(timeout - watch.Total(), kSending);
  const server::Stopwatch sending;
  int64_t open = answers_.open();
  for (; open > 0 && sending.Total() < rest; open = answers_.open()) absl::SleepFor(absl::Milliseconds(1));
  left = std::max(left, open);
  // Networks are written after this, and whoever ends the server gives it only so long.
  WaitUntilSent(std::max(rest - sending.Total(), kSending));
  server_->Shutdown(absl::ToChronoTime(absl::Now() + kLastWords));
  server_->Wait();
  server::HappensAfter(&answers_);
  while (answers_.open() > 0) absl::SleepFor(absl::Milliseconds(1));
  return left;
}

absl::Time Server::CertificateExpiry() const { return tls_ == nullptr ? absl::InfiniteFuture() : tls_->expiry(); }

}  // namespace spikeserve::rpc

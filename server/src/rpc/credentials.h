// The server's TLS: what it shows to clients, and whom it lets in.

#ifndef SPIKESERVE_SERVER_RPC_CREDENTIALS_H_
#define SPIKESERVE_SERVER_RPC_CREDENTIALS_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "grpcpp/security/server_credentials.h"
#include "identity/file_watch.h"

namespace spikeserve::rpc {

// Files in PEM.
struct TlsFiles {
  // The server's certificate, and behind it those that lead to who vouches for it.
  std::string certificate;
  // Its private key.
  std::string key;
  // The authorities that vouch for clients, who then have to show a certificate; empty: clients show none.
  std::string client_ca = {};
};

// Serves what is in the files, about two seconds after it has changed there. What is no certificate, has another key or
// has expired is not taken: what was there before is served on. The server's certificate and the authorities are taken
// each by itself. Connections that are open stay as they are.
//
// Thread-safe.
class TlsCredentials {
 public:
  // INVALID_ARGUMENT, with the flag and the file, for files that are not what they should be. Does not keep them.
  static absl::Status Check(const TlsFiles& files);

  // What changes later, or cannot be taken, is an event. Errors: those of Check; UNAVAILABLE where the process has no
  // /proc, which gRPC is handed the files by.
  static absl::StatusOr<std::unique_ptr<TlsCredentials>> Load(const TlsFiles& files, server::EventSink events,
                                                              absl::Duration period = identity::kWatchPeriod);
  ~TlsCredentials();

  // For listeners, which must not outlive this object.
  std::shared_ptr<grpc::ServerCredentials> credentials() const { return credentials_; }

  // When the server's certificate that is in use expires.
  absl::Time expiry() const { return absl::FromUnixSeconds(expiry_); }

 private:
  class MemoryFile;

  TlsCredentials();

  std::unique_ptr<MemoryFile> key_pair_;
  std::unique_ptr<MemoryFile> client_ca_;  // Null: clients show no certificate.
  std::shared_ptr<grpc::ServerCredentials> credentials_;
  std::atomic<int64_t> expiry_{0};  // In Unix seconds.
  // Of their own, so that neither waits for the other's files to be right.
  std::unique_ptr<identity::FileWatch> key_pair_watch_;
  std::unique_ptr<identity::FileWatch> client_ca_watch_;  // Null where client_ca_ is.
};

}  // namespace spikeserve::rpc

#endif  // SPIKESERVE_SERVER_RPC_CREDENTIALS_H_

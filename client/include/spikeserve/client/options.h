// How a client connects and how its calls behave.

#ifndef SPIKESERVE_CLIENT_OPTIONS_H_
#define SPIKESERVE_CLIENT_OPTIONS_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/time/time.h"

namespace spikeserve {

// When a call is made again.
//
// A call that the server could not take (UNAVAILABLE), or that may have been lost, is made again if it is safe to
// repeat: if it changes nothing, comes to the same when made twice, or carries its `step`. A call that the server
// refused because it had too much to do (RESOURCE_EXHAUSTED with google.rpc.RetryInfo) was not begun, and is made again
// whatever it is.
struct RetryPolicy {
  // Of a call that fails, including the first. 1: no retries, also of refused calls.
  int max_attempts = 4;
  // How long refused calls wait in all. Each wait is at least as long as the server asks for.
  absl::Duration max_refused_wait = absl::Seconds(30);
  // The wait before the n-th retry is a random part (half to whole) of min(max_backoff, initial_backoff * 2^(n-1)).
  absl::Duration initial_backoff = absl::Milliseconds(100);
  absl::Duration max_backoff = absl::Seconds(5);
};

// For a single call.
struct CallOptions {
  // DEADLINE_EXCEEDED after this time, retries included. A call that waits returns a little later where bytes of its
  // arguments are just being sent: they are read from where they are. (A server that takes none and says nothing is
  // given up after 40 seconds.) In process, a call that waits for a thread or for its network ends only when its turn
  // comes, however late that is.
  absl::Duration timeout = absl::InfiniteDuration();
};

// How a connection is encrypted. Certificates and keys are PEM, given as text or as the name of a file of it; files are
// read when the client connects, once.
struct TlsOptions {
  // The certificates of the authorities that may vouch for the server. Neither: those that gRPC finds on the system.
  std::string ca_file = {};
  std::string ca_pem = {};
  // For a server that asks who the client is (spikeserve --tls-client-ca): the client's certificate, with those between
  // it and its authority behind it, and its private key, without a passphrase. Neither: the client shows none.
  std::string certificate_file = {};
  std::string certificate_pem = {};
  std::string key_file = {};
  std::string key_pem = {};
  // The name that the server's certificate must have; empty: the target's host.
  std::string server_name = {};
};

struct ConnectOptions {
  // nullopt: connections are not encrypted.
  std::optional<TlsOptions> tls = std::nullopt;
  // Goes with every call, to prove who makes it (spikeserve --tokens); empty: none. Only with TLS, or to a target on
  // this machine (127.0.0.0/8, [::1], localhost, unix:PATH).
  std::string token = {};
  RetryPolicy retry = {};
  // Calls that wait, and whose arguments and results take more bytes than this, are sent in pieces where the function
  // allows it (SpikeCluster, FirstSpikeIndex, KernelDotProduct, SpikeSimilarLoss). They may be of any size; smaller
  // ones, asynchronous calls and those on networks are one message, with the limit that the server sets
  // (--max-message-bytes, 256 MiB when it is not given). One message is the faster way as long as both hold it, but for
  // SpikeCluster, which is sent in pieces above an eighth of this.
  int64_t stream_above_bytes = int64_t{128} << 20;
  // The memory of results that were destroyed is kept for later ones, up to so many bytes: fresh memory is slow.
  int64_t max_idle_buffer_bytes = int64_t{128} << 20;

  // For a target "unix:PATH": pass large tensors of requests and of results in memory that is shared with the server,
  // where the server offers it (spikeserve --shared-memory); else they are sent. Operands in tensors of
  // Client::NewTensor are not copied at all; they must stay as they are until the call has returned.
  bool shared_memory = false;
  // The most memory to share, in use (by results that the caller keeps, too) or kept for later calls.
  int64_t max_shared_memory_bytes = int64_t{1} << 30;
  // Tensors of fewer bytes are sent: that is quicker.
  int64_t min_shared_tensor_bytes = int64_t{64} << 10;
};

struct InProcessOptions {
  // The threads that compute; 0: one for each processor.
  int threads = 0;
};

}  // namespace spikeserve

#endif  // SPIKESERVE_CLIENT_OPTIONS_H_

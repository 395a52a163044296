// How a client's calls get to a server: the gRPC channel, and what every call carries.

#ifndef SPIKESERVE_CLIENT_CHANNEL_H_
#define SPIKESERVE_CLIENT_CHANNEL_H_

#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "grpcpp/grpcpp.h"
#include "spikeserve/client/options.h"

namespace spikeserve {

// What calls prove who makes them with. Immutable.
class Authorization {
 public:
  // `token` may be empty: calls prove nothing.
  explicit Authorization(std::string_view token) : value_(token.empty() ? "" : "Bearer " + std::string(token)) {}

  // To be called before the call of `context` begins.
  void AddTo(grpc::ClientContext& context) const {
    if (!value_.empty()) context.AddMetadata("authorization", value_);
  }

 private:
  const std::string value_;
};

// A channel to `target` with the encryption of `options`, and with `arguments` besides. INVALID_ARGUMENT for
// certificates, keys and tokens that are none, for TLS with a Unix socket, and for a token that would go over a network
// unencrypted; the codes of errno for files that cannot be read. What stays on the machine without TLS goes past the
// proxy of the environment.
absl::StatusOr<std::shared_ptr<grpc::Channel>> MakeChannel(std::string_view target, const ConnectOptions& options,
                                                           grpc::ChannelArguments arguments);

}  // namespace spikeserve

#endif  // SPIKESERVE_CLIENT_CHANNEL_H_

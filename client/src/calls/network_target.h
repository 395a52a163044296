// What the calls on one network share.

#ifndef SPIKESERVE_CLIENT_CALLS_NETWORK_TARGET_H_
#define SPIKESERVE_CLIENT_CALLS_NETWORK_TARGET_H_

#include "absl/status/statusor.h"
#include "rpc_traits.h"
#include "spikeserve/client/networks.h"

namespace spikeserve {

// Sets the network, and the number of the change where the call is one that may have it.
template <typename Args, typename Request>
void EncodeTarget(const Args& args, Request& request) {
  request.set_network(args.network);
  if constexpr (requires { args.step; }) {
    if (args.step) request.set_step(*args.step);
  }
}

// A change whose reply is its number alone. Whoever says more than the network and the step has an Encode of its own.
template <typename Args, typename RequestMessage, typename ResponseMessage>
struct ChangeTraits {
  using Request = RequestMessage;
  using Response = ResponseMessage;

  static void Encode(const Args& args, RequestBuilder<Request>& request) { EncodeTarget(args, *request); }

  static absl::StatusOr<NextStep> Decode(ResponseReader<Response>& response) { return NextStep{response->next_step()}; }
};

}  // namespace spikeserve

#endif  // SPIKESERVE_CLIENT_CALLS_NETWORK_TARGET_H_

// What the requests on one network share.

#ifndef SPIKESERVE_CLIENT_CALLS_NETWORK_TARGET_H_
#define SPIKESERVE_CLIENT_CALLS_NETWORK_TARGET_H_

namespace spikeserve {

// Sets the network, and the number of the change where the call is one that may have it.
template <typename Args, typename Request>
void EncodeTarget(const Args& args, Request& request) {
  request.set_network(args.network);
  if constexpr (requires { args.step; }) {
    if (args.step) request.set_step(*args.step);
  }
}

}  // namespace spikeserve

#endif  // SPIKESERVE_CLIENT_CALLS_NETWORK_TARGET_H_

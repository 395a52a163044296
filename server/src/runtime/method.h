// The methods that a server has, in a form that knows no transport.

#ifndef SPIKESERVE_SERVER_RUNTIME_METHOD_H_
#define SPIKESERVE_SERVER_RUNTIME_METHOD_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "codec/envelope.h"
#include "google/protobuf/message.h"
#include "runtime/context.h"
#include "runtime/network_store.h"

namespace spikeserve::server {

using google::protobuf::Message;
using EnvelopeOr = absl::StatusOr<codec::Envelope>;

struct Method {
  // An empty message of the request's type.
  const Message* request_prototype;
  // Computes the response. `held` is the network that the request names, null for methods without one.
  std::function<EnvelopeOr(const codec::Envelope& request, HeldNetwork* held, Context& context)> handle;
  // The name of the request's network; null for methods without one.
  const std::string& (*network_of)(const codec::Envelope& request) = nullptr;
  // About how many operations on elements the call takes, of a request that may be wrong. Null: many.
  std::function<int64_t(const codec::Envelope& request)> work = nullptr;
  // The fields that `handle` reads where they are when the client shares their memory. It must then stay within bounds
  // whatever it reads, and however often that changes (docs/decisions/0010-shared-memory.md). Others are copied before.
  std::vector<codec::InPlaceField> in_place = {};
};

// By path, such as "/spikeserve.v1.SpikeFunctionService/SpikeCluster".
using MethodTable = absl::flat_hash_map<std::string, Method>;

// All methods of all services.
const MethodTable& Methods();

}  // namespace spikeserve::server

#endif  // SPIKESERVE_SERVER_RUNTIME_METHOD_H_

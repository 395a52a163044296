// The streaming methods that a server has, in a form that knows no transport.

#ifndef SPIKESERVE_SERVER_RUNTIME_STREAM_METHOD_H_
#define SPIKESERVE_SERVER_RUNTIME_STREAM_METHOD_H_

#include <memory>
#include <optional>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "codec/envelope.h"
#include "runtime/context.h"

namespace spikeserve::server {

// What computes one stream. Its methods are called one at a time, on the compute pool; an error of any of them ends the
// stream.
class StreamHandler {
 public:
  virtual ~StreamHandler() = default;

  // Takes the next message, which goes when this returns.
  virtual absl::Status Take(const codec::Envelope& message, Context& context) = 0;

  // The client has sent all. Called once.
  virtual absl::Status Close(Context& context) = 0;

  // The next response that can be given now, nullopt where there is none: called after Take and Close until there is
  // none, each time when there is room for a response. So what is large is made piece by piece.
  virtual absl::StatusOr<std::optional<codec::Envelope>> Next(Context& context) = 0;
};

struct StreamMethod {
  // An empty message of the request's type.
  const google::protobuf::Message* request_prototype;
  std::unique_ptr<StreamHandler> (*make_handler)();
};

// By path, such as "/spikeserve.v1.SpikeStreamService/StreamSpikeCluster".
using StreamMethodTable = absl::flat_hash_map<std::string, StreamMethod>;

// All streaming methods of all services.
const StreamMethodTable& StreamMethods();

}  // namespace spikeserve::server

#endif  // SPIKESERVE_SERVER_RUNTIME_STREAM_METHOD_H_

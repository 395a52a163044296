// The streaming methods that a server has, in a form that knows no transport.

#ifndef SPIKESERVE_SERVER_RUNTIME_STREAM_METHOD_H_
#define SPIKESERVE_SERVER_RUNTIME_STREAM_METHOD_H_

#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "codec/envelope.h"
#include "runtime/context.h"
#include "runtime/network_store.h"

namespace spikeserve::server {

// What computes one stream. Its methods are called one at a time, where nothing else keeps a thread from its work; an
// error of any of them ends the stream.
class StreamHandler {
 public:
  virtual ~StreamHandler() = default;

  // Where the stream is on a network: the name of that which `message`, the next one to be taken, is for. Null where it
  // cannot be told; then Take finds fault with the message. Valid until the next call.
  virtual const std::string* NetworkOf(const codec::Envelope& /*message*/) { return nullptr; }

  // About how many operations on elements Take needs for the message, which may be wrong. Called outside of the
  // network's strand, so it looks at nothing that changes.
  virtual int64_t Work(const codec::Envelope& /*message*/, const HeldNetwork& /*held*/) const {
    return std::numeric_limits<int64_t>::max();
  }

  // Takes the next message, which goes when this returns. `held`, which NetworkOf named: called on its strand, and the
  // network is to be left as it was, or changed by the whole message; null where there is none.
  virtual absl::Status Take(const codec::Envelope& message, HeldNetwork* held, Context& context) = 0;

  // The client has sent all. Called once.
  virtual absl::Status Close(Context& context) = 0;

  // The next response that can be given now, nullopt where there is none: called after Take and Close until there is
  // none, each time when there is room for a response. So what is large is made piece by piece.
  virtual absl::StatusOr<std::optional<codec::Envelope>> Next(Context& context) = 0;

  // What it keeps between two messages, where that grows with them.
  virtual int64_t KeptBytes() const { return 0; }
};

struct StreamMethod {
  // An empty message of the request's type.
  const google::protobuf::Message* request_prototype;
  std::unique_ptr<StreamHandler> (*make_handler)();
  // Whether each message is for a network, on whose strand it is taken.
  bool on_network = false;
};

// By path, such as "/spikeserve.v1.SpikeStreamService/StreamSpikeCluster".
using StreamMethodTable = absl::flat_hash_map<std::string, StreamMethod>;

// All streaming methods of all services.
const StreamMethodTable& StreamMethods();

}  // namespace spikeserve::server

#endif  // SPIKESERVE_SERVER_RUNTIME_STREAM_METHOD_H_

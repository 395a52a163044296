// How a client's calls reach an engine. In-process and remote are two connections; retries and shared memory are
// others, around one.

#ifndef SPIKESERVE_CLIENT_CONNECTION_H_
#define SPIKESERVE_CLIENT_CONNECTION_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "codec/envelope.h"
#include "memory/buffer_pool.h"
#include "message_stream.h"
#include "spikeserve/client/options.h"

namespace spikeserve {

namespace server {
class Engine;
}  // namespace server

// Why a call ends whose response there is no memory for: see server::Guarded.
inline constexpr char kNoMemoryForResponse[] = "no memory for the server's response";

// One call of one method.
struct Rpc {
  // Such as "/spikeserve.v1.SpikeFunctionService/SpikeCluster".
  std::string_view path;
  // Whether the call may be made twice.
  bool repeatable;
  // Both must live until `done` is called. The response's message is an empty one of its type.
  const codec::Envelope* request;
  codec::Envelope* response;
  absl::Time deadline;
  // Whether the call changes anything on the server.
  bool has_side_effects = true;
  // A serialised v1::ResultMemory, which the server is to be told; empty: none.
  std::string_view result_memory = {};
};

// What a streaming call sends and receives: the messages of one call on a tensor that goes in pieces.
//
// Send and Receive may be called at the same time, each from one thread at a time.
class StreamExchange {
 public:
  virtual ~StreamExchange() = default;
  // Such as "/spikeserve.v1.SpikeStreamService/StreamSpikeCluster".
  virtual std::string_view path() const = 0;
  // An empty message of the responses' type.
  virtual const google::protobuf::Message& response_prototype() const = 0;
  // Goes back to the first message: the call is made (again).
  virtual void Begin() = 0;
  // The next message to send; nullopt: that was all.
  virtual std::optional<codec::Envelope> Send() = 0;
  // Takes the next response. An error ends the call.
  virtual absl::Status Receive(codec::Envelope response) = 0;
};

// Thread-safe.
class Connection {
 public:
  virtual ~Connection() = default;

  // Calls `done` once, from any thread, when the response is filled in or the call has failed.
  // Owners of the request's tensors may be kept for longer than that, as long as bytes are under way.
  virtual void Start(const Rpc& rpc, std::function<void(absl::Status)> done) = 0;

  // The bytes of request and response above which a function is called by Stream; such a call is safe to repeat. For
  // one that gains by it, a `divisor` of them.
  virtual int64_t stream_above_bytes(int64_t divisor) const = 0;
  // Calls `done` once, from any thread, when the exchange has ended. Needs stream_above_bytes < INT64_MAX.
  virtual void Stream(std::shared_ptr<StreamExchange> exchange, absl::Time deadline,
                      std::function<void(absl::Status)> done) = 0;

  // Opens a stream that the caller sends to and receives from itself; it is not repeated. Whether the server takes it
  // shows in Receive. Owners of the messages' tensors may be kept until the stream has ended.
  virtual absl::StatusOr<std::shared_ptr<MessageStream>> OpenStream(const StreamRpc& rpc) = 0;

  // For the elements of requests and responses.
  virtual BufferPool& buffers() = 0;

  // For a tensor that the caller makes for calls: like a buffer of buffers(), but in memory that needs not be copied
  // where there is such.
  virtual std::shared_ptr<uint8_t> NewTensorBuffer(size_t size) { return buffers().Take(size); }

  // Whether the server reads large tensors where the client has them.
  virtual bool shared_memory_in_use() const { return false; }
};

// The server at `target`. Errors: those of MakeChannel (channel.h).
absl::StatusOr<std::shared_ptr<Connection>> MakeGrpcConnection(std::string_view target,
                                                               const ConnectOptions& options = {});

// An engine in this process.
std::shared_ptr<Connection> MakeInProcessConnection(std::unique_ptr<server::Engine> engine);

// Calls `fn` after `delay`, in a thread that may be any but the caller's.
using Timer = std::function<void(absl::Duration delay, std::function<void()> fn)>;

// The timer of gRPC's event engine.
Timer GrpcTimer();

// Repeats calls on `inner` as `policy` says.
std::shared_ptr<Connection> MakeRetryConnection(std::shared_ptr<Connection> inner, const RetryPolicy& policy,
                                                Timer timer);

// Hands the large tensors of calls on `inner`, which leads to the server at `target`, over in shared memory where the
// server takes it. INVALID_ARGUMENT for a target that is not "unix:PATH".
absl::StatusOr<std::shared_ptr<Connection>> MakeSharedMemoryConnection(std::shared_ptr<Connection> inner,
                                                                       std::string_view target,
                                                                       const ConnectOptions& options);

}  // namespace spikeserve

#endif  // SPIKESERVE_CLIENT_CONNECTION_H_

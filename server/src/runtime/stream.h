// One stream of messages in and out, computed on the engine's pool with bounded memory.

#ifndef SPIKESERVE_SERVER_RUNTIME_STREAM_H_
#define SPIKESERVE_SERVER_RUNTIME_STREAM_H_

#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "codec/envelope.h"
#include "runtime/stream_method.h"

namespace spikeserve::server {

// What a stream asks of its transport. Its methods are called from any thread, one at a time, with a lock held: they
// return at once, and must not call the stream before they return.
class StreamTransport {
 public:
  virtual ~StreamTransport() = default;
  // Reads a message; then Stream::OnRead is called. Not called again before.
  virtual void Read() = 0;
  // Writes a response; then Stream::OnWritten is called. Not called again before.
  virtual void Write(codec::Envelope response) = 0;
  // Ends the stream. Called once, and nothing after it.
  virtual void Finish(const absl::Status& status) = 0;
};

// Runs a StreamHandler between a transport and the pool. At most kAhead messages wait to be computed and as many
// responses to be written: a client that sends faster than the server computes, or does not read, is not read from.
// While one message is computed, the next ones arrive.
//
// Thread-safe. Kept alive by whoever may still call it, and by itself while it computes.
class Stream : public std::enable_shared_from_this<Stream> {
 public:
  // Gives a message that was read, or an error; called on the pool.
  using Message = std::function<absl::StatusOr<codec::Envelope>(const google::protobuf::Message& prototype)>;
  // Runs a task on the pool.
  using Submit = std::function<void(std::function<void()>)>;
  // Calls one of the handler's methods with a context, unless the call is no longer wanted: then the error.
  using Compute = std::function<absl::Status(std::function<absl::Status(Context&)>)>;

  // `transport` must live until Finish was called on it.
  Stream(const StreamMethod& method, StreamTransport& transport, Submit submit, Compute compute);

  // Begins to read.
  void Start();
  // nullopt: the client has sent all.
  void OnRead(std::optional<Message> message);
  // `ok`: false where the client is gone.
  void OnWritten(bool ok);
  // The client gave up, or the deadline passed.
  void OnCancelled();

 private:
  static constexpr size_t kAhead = 2;

  void Pump();
  void Work();
  // One step of work: makes a response, takes a message, or closes.
  absl::Status Step();
  absl::Status Respond();

  const StreamMethod& method_;
  StreamTransport& transport_;
  const Submit submit_;
  const Compute compute_;
  // Only touched by Step.
  const std::unique_ptr<StreamHandler> handler_;

  std::mutex mutex_;
  // All below is guarded by mutex_.
  std::deque<Message> inbox_;
  std::deque<codec::Envelope> outbox_;
  bool reading_ = false;
  bool writing_ = false;
  bool working_ = false;
  // Whether the handler may have a response.
  bool draining_ = false;
  // The client has sent all; the handler knows it.
  bool input_done_ = false;
  bool closed_ = false;
  std::optional<absl::Status> result_;
  bool finished_ = false;
};

}  // namespace spikeserve::server

#endif  // SPIKESERVE_SERVER_RUNTIME_STREAM_H_

// One stream of messages in and out, computed on the engine's pool with bounded memory.

#ifndef SPIKESERVE_SERVER_RUNTIME_STREAM_H_
#define SPIKESERVE_SERVER_RUNTIME_STREAM_H_

#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "codec/envelope.h"
#include "runtime/network_store.h"
#include "runtime/stream_method.h"

namespace spikeserve::server {

// What a stream asks of its transport. Its methods are called from any thread, one at a time, with a lock held: they
// return at once, and must not call the stream before they return.
class StreamTransport {
 public:
  virtual ~StreamTransport() = default;
  // Reads a message; then Stream::OnRead is called. Not called again before.
  virtual void Read() = 0;
  // Writes a response; then Stream::OnWritten is called. Not called again before. Where it throws, nothing is written,
  // and OnWritten not called.
  virtual void Write(codec::Envelope response) = 0;
  // Ends the stream. Called once, and nothing after it.
  virtual void Finish(const absl::Status& status) = 0;
};

// What a stream asks of the engine. Thread-safe.
class StreamHost {
 public:
  virtual ~StreamHost() = default;
  // Runs a task on the pool.
  virtual void Submit(std::function<void()> task) = 0;
  // A network that the server holds, or NOT_FOUND.
  virtual absl::StatusOr<std::shared_ptr<HeldNetwork>> FindNetwork(const std::string& name) = 0;
  // Calls `fn` with a context for work on `held` (null: on no network), unless the call is no longer wanted: then the
  // error. `at_once`: the work is not worth another thread.
  virtual absl::Status Compute(HeldNetwork* held, bool at_once, absl::FunctionRef<absl::Status(Context&)> fn) = 0;
  // Takes a message of so many bytes, until it goes, or RESOURCE_EXHAUSTED.
  virtual absl::Status Hold(int64_t bytes) = 0;
  virtual void Release(int64_t bytes) = 0;
  // Takes bytes that the handler keeps, until they are released, or RESOURCE_EXHAUSTED.
  virtual absl::Status Keep(int64_t bytes) = 0;
  // Counts bytes that are there already, until they are released.
  virtual void Count(int64_t bytes) = 0;
  // The stream ends: with its lock held, once, before the transport's Finish. `in_order`: it had nothing to do when the
  // server was about to end.
  virtual void OnEnd(const absl::Status& status, bool in_order) = 0;
};

// Runs a StreamHandler between a transport and the engine. At most kAhead messages wait to be computed and as many
// responses to be written: a client that sends faster than the server computes, or does not read, is not read from.
// While one message is computed, the next ones arrive. A stream on a network computes on the network's strand, which it
// holds for one message at a time.
//
// Thread-safe. Kept alive by whoever may still call it, and by itself while it computes.
class Stream : public std::enable_shared_from_this<Stream> {
 public:
  // A message that was read.
  struct Message {
    // Gives it, or an error; called once.
    std::function<absl::StatusOr<codec::Envelope>(const google::protobuf::Message& prototype)> parse;
    // Whether it may be computed in the thread that calls OnRead, where that takes next to no time: to wake another
    // thread would take longer.
    bool may_compute_at_once = false;
    // What it takes until it is parsed.
    int64_t bytes = 0;
  };

  // `transport` must live until Finish was called on it.
  Stream(const StreamMethod& method, StreamTransport& transport, std::unique_ptr<StreamHost> host);

  // Begins to read.
  void Start();
  // nullopt: the client has sent all.
  void OnRead(std::optional<Message> message);
  // `ok`: false where the client is gone.
  void OnWritten(bool ok);
  // The client gave up, or the deadline passed.
  void OnCancelled();
  // Ends it with `status`, whatever is under way.
  void End(const absl::Status& status);
  // Of a stream on a network: ends it with UNAVAILABLE when all that was read is answered.
  void EndWhenIdle();

 private:
  static constexpr size_t kAhead = 2;

  // A message in the inbox, and what gives its bytes back.
  struct Waiting {
    Message message;
    std::shared_ptr<const void> hold;
  };

  // A response in the outbox, and what it takes there beside buffers of the pool, which are counted anyway.
  struct Response {
    codec::Envelope envelope;
    int64_t bytes;
  };

  // Puts a message into the inbox, or ends the stream where it would be too much. The lock is held.
  void Keep(Message message);

  // Makes a change to the members below mutex_, and starts whatever can be started then.
  void Update(absl::FunctionRef<void()> change);
  // Starts it but for work: whether there is some, which is the caller's to start. The lock is held.
  bool Pump();
  // Drops the responses that are not being written. The lock is held.
  void ClearOutbox();

  // The work, one after the other: reads the next message, takes it (or the end of all messages), makes the responses
  // that there is room for.
  void Work(bool at_once);
  void TakeOnStrand(bool at_once);
  void Take(HeldNetwork* held, bool at_once);
  void DropMessage();
  // Takes what the handler keeps since the message.
  absl::Status CountKept();
  absl::Status Respond(bool at_once);
  void EndWork(const absl::Status& status);

  const StreamMethod& method_;
  StreamTransport& transport_;
  const std::unique_ptr<StreamHost> host_;
  // Only touched by the work.
  const std::unique_ptr<StreamHandler> handler_;
  // The message that is to be taken.
  std::optional<codec::Envelope> message_;
  // What this takes, and what the handler keeps, as far as they are counted.
  int64_t message_bytes_ = 0;
  int64_t kept_bytes_ = 0;

  std::mutex mutex_;
  // All below is guarded by mutex_.
  std::deque<Waiting> inbox_;
  std::deque<Response> outbox_;
  bool reading_ = false;
  bool writing_ = false;
  bool working_ = false;
  // Nobody waits for the responses any longer.
  bool abandoned_ = false;
  // Whether the handler may have a response.
  bool draining_ = false;
  // The client has sent all; the handler knows it.
  bool input_done_ = false;
  bool closed_ = false;
  std::optional<absl::Status> result_;
  bool finished_ = false;
  // The server is about to end.
  bool ends_when_idle_ = false;
  // It has ended so.
  bool in_order_ = false;
};

}  // namespace spikeserve::server

#endif  // SPIKESERVE_SERVER_RUNTIME_STREAM_H_

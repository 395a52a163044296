// A stream of messages to a server and back, for threads that wait.

#ifndef SPIKESERVE_CLIENT_MESSAGE_STREAM_H_
#define SPIKESERVE_CLIENT_MESSAGE_STREAM_H_

#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string_view>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "codec/envelope.h"

namespace spikeserve {

// A streaming call that is to be opened.
struct StreamRpc {
  // Such as "/spikeserve.v1.SpikeNetworkService/Run".
  std::string_view path;
  // An empty message of the responses' type; lives for ever.
  const google::protobuf::Message* response_prototype;
  // DEADLINE_EXCEEDED at this time, wherever the stream is.
  absl::Time deadline;
  // Is kept until the stream has ended: the connection.
  std::shared_ptr<const void> keep_alive;
};

// At most one message is under way in each direction: who sends waits while the server does not read, and a response is
// read from the server when the one before it was received. A transport has a class derived of this.
//
// Thread-safe, but that one thread at a time sends and one receives. Dropping it does not end the stream: Cancel does.
class MessageStream {
 public:
  virtual ~MessageStream() = default;
  MessageStream(const MessageStream&) = delete;
  MessageStream& operator=(const MessageStream&) = delete;

  // Waits until the message may go. An error where the stream has ended: that with which it did, if it is known
  // already.
  absl::Status Send(codec::Envelope message);

  // Tells the server that this was all, as soon as that may go: at the latest in Receive. Nothing may be sent after it.
  void CloseSend();

  // Waits for the next response. nullopt: the stream has ended, and well. Otherwise an error is how it has ended.
  absl::StatusOr<std::optional<codec::Envelope>> Receive();

  // Ends the stream, as far as this side is concerned. May be called at any time.
  virtual void Cancel() = 0;

 protected:
  // `deadline`: when waiting ends, where the transport does not see to that itself.
  explicit MessageStream(absl::Time deadline = absl::InfiniteFuture()) : deadline_(deadline) {}

  // What the transport does. Each is called when the one before has been answered, the first two by OnSendable (which
  // comes once before them, too), the last by OnReceived (which does not); without a lock.
  virtual void StartSend(codec::Envelope message) = 0;
  virtual void StartCloseSend() = 0;
  virtual void StartReceive() = 0;

  // What the transport tells, from any thread.
  // `ok`: false where nothing can be sent any more, because the stream ends.
  void OnSendable(bool ok);
  void OnReceived(codec::Envelope response);
  void OnEnded(absl::Status status);

  // The response that waits to be received, if any; it is gone then.
  std::optional<codec::Envelope> TakeReceived();

 private:
  // Waits until ready() or the end of the stream.
  void Wait(std::unique_lock<std::mutex>& lock, absl::FunctionRef<bool()> ready);

  const absl::Time deadline_;
  std::mutex mutex_;
  std::condition_variable changed_;
  // All below is guarded by mutex_.
  bool sendable_ = false;
  bool send_failed_ = false;
  // CloseSend was called, and StartCloseSend not yet.
  bool closing_ = false;
  std::optional<codec::Envelope> received_;
  std::optional<absl::Status> ended_;
};

}  // namespace spikeserve

#endif  // SPIKESERVE_CLIENT_MESSAGE_STREAM_H_

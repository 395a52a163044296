#include "in_process_message_stream.h"

#include <atomic>
#include <memory>
#include <optional>
#include <utility>

#include "runtime/at_once.h"
#include "runtime/stream.h"

namespace spikeserve {
namespace {

// What one side starts, the other waits for: the engine asks for a message, and a thread in Send gives it; the engine
// gives a response, and a thread in Receive takes it.
class InProcessMessageStream final : public MessageStream,
                                     public server::StreamTransport,
                                     public std::enable_shared_from_this<InProcessMessageStream> {
 public:
  explicit InProcessMessageStream(const StreamRpc& rpc) : MessageStream(rpc.deadline), keep_alive_(rpc.keep_alive) {}

  absl::Status Start(server::Engine& engine, const StreamRpc& rpc) {
    server::StreamingCall call;
    call.path = rpc.path;
    call.deadline = rpc.deadline;
    call.cancelled = [this] { return cancelled_.load(); };
    absl::StatusOr<std::shared_ptr<server::Stream>> stream = engine.OpenStream(std::move(call), *this);
    if (!stream.ok()) return stream.status();
    stream_ = *std::move(stream);
    self_ = shared_from_this();
    stream_->Start();
    return absl::OkStatus();
  }

  void Cancel() override {
    cancelled_ = true;
    stream_->OnCancelled();
    // What nobody will receive counts as written; the engine may have a last one.
    while (TakeReceived()) stream_->OnWritten(false);
  }

  // StreamTransport. The engine holds a lock of its own.
  void Read() override { OnSendable(true); }
  void Write(codec::Envelope response) override { OnReceived(std::move(response)); }
  void Finish(const absl::Status& status) override {
    // Goes as the last thing, if nobody else has it. (Whoever calls this holds the stream.)
    const std::shared_ptr<InProcessMessageStream> self = std::move(self_);
    OnEnded(status);
  }

 private:
  void StartSend(codec::Envelope message) override {
    const bool is_small = message.ElementBytes() <= server::kSmallRequest;
    auto sent = std::make_shared<codec::Envelope>(std::move(message));
    stream_->OnRead(server::Stream::Message{[sent = std::move(sent)](const google::protobuf::Message&)
                                                -> absl::StatusOr<codec::Envelope> { return std::move(*sent); },
                                            /*may_compute_at_once=*/is_small});
  }
  void StartCloseSend() override { stream_->OnRead(std::nullopt); }
  void StartReceive() override { stream_->OnWritten(true); }

  // Released after the stream, which is the engine's.
  const std::shared_ptr<const void> keep_alive_;
  std::atomic<bool> cancelled_ = false;
  std::shared_ptr<server::Stream> stream_;
  // Until the engine is done with this transport.
  std::shared_ptr<InProcessMessageStream> self_;
};

}  // namespace

absl::StatusOr<std::shared_ptr<MessageStream>> MakeInProcessMessageStream(server::Engine& engine,
                                                                          const StreamRpc& rpc) {
  auto stream = std::make_shared<InProcessMessageStream>(rpc);
  if (absl::Status status = stream->Start(engine, rpc); !status.ok()) return status;
  return stream;
}

}  // namespace spikeserve

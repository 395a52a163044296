#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "channel.h"
#include "connection.h"
#include "dispose.h"
#include "grpc_message_stream.h"
#include "grpc_messages.h"
#include "grpcpp/generic/generic_stub.h"
#include "grpcpp/grpcpp.h"
#include "rpc/byte_buffer.h"
#include "rpc/grpc_lifetime.h"
#include "runtime/guarded.h"
#include "runtime/happens_before.h"
#include "shared_memory/shared_tensors.h"
#include "status_macros.h"

namespace spikeserve {
namespace {

// One call. Deletes itself when it has ended.
class UnaryCall {
 public:
  static void Start(grpc::GenericStub& stub, const Authorization& authorization, BufferPool& buffers, const Rpc& rpc,
                    std::function<void(absl::Status)> done) {
    auto* self = new UnaryCall(buffers, rpc, std::move(done));
    authorization.AddTo(self->context_);
    server::HappensBefore(self);
    // gRPC copies the callback; with one pointer in it, that takes no memory.
    stub.UnaryCall(&self->context_, std::string(rpc.path), grpc::StubOptions(), &self->request_, &self->response_,
                   [self](const grpc::Status& status) {
                     server::HappensAfter(self);
                     self->End(status);
                   });
  }

 private:
  UnaryCall(BufferPool& buffers, const Rpc& rpc, std::function<void(absl::Status)> done)
      : buffers_(buffers), envelope_(*rpc.response), done_(std::move(done)), request_(rpc::ToByteBuffer(*rpc.request)) {
    if (rpc.deadline != absl::InfiniteFuture()) context_.set_deadline(absl::ToChronoTime(rpc.deadline));
    if (!rpc.result_memory.empty()) {
      context_.AddMetadata(shared_memory::kResultMemoryKey, std::string(rpc.result_memory));
    }
  }

  void End(const grpc::Status& status) {
    const CallbackScope scope;
    absl::Status result = StatusOf(status);
    // Nobody cancels these calls but a server that ends: gRPC resets those that it has not handed over yet.
    if (absl::IsCancelled(result)) result = absl::UnavailableError("the server ended before it took the call");
    if (status.ok()) {
      absl::StatusOr<codec::Envelope> read = ReadResponse(response_, *envelope_.message, buffers_);
      result = read.status();
      if (read.ok()) envelope_ = *std::move(read);
    }
    const std::function<void(absl::Status)> done = std::move(done_);
    delete this;  // The context holds the channel: see Dispose.
    done(std::move(result));
  }

  BufferPool& buffers_;
  codec::Envelope& envelope_;
  std::function<void(absl::Status)> done_;
  grpc::ClientContext context_;
  grpc::ByteBuffer request_;
  grpc::ByteBuffer response_;
};

// One streaming call. Deletes itself when it has ended.
class StreamingCall final : public grpc::ClientBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
 public:
  StreamingCall(grpc::GenericStub& stub, const Authorization& authorization, BufferPool& buffers,
                std::shared_ptr<StreamExchange> exchange, absl::Time deadline, std::function<void(absl::Status)> done)
      : buffers_(buffers), exchange_(std::move(exchange)), done_(std::move(done)) {
    authorization.AddTo(context_);
    if (deadline != absl::InfiniteFuture()) context_.set_deadline(absl::ToChronoTime(deadline));
    exchange_->Begin();
    stub.PrepareBidiStreamingCall(&context_, std::string(exchange_->path()), grpc::StubOptions(), this);
    server::HappensBefore(&incoming_);
    StartRead(&incoming_);
    WriteNext();
    StartCall();
  }

  // Reads and writes are told apart: neither comes before the other.
  void OnWriteDone(bool ok) override {
    server::HappensAfter(&outgoing_);
    if (ok) WriteNext();  // Otherwise the call has ended, and OnDone tells why.
  }
  void OnReadDone(bool ok) override {
    server::HappensAfter(&incoming_);
    if (!ok) return;
    absl::StatusOr<codec::Envelope> response = ReadResponse(incoming_, exchange_->response_prototype(), buffers_);
    absl::Status status =
        response.ok() ? server::Guarded([&] { return exchange_->Receive(*std::move(response)); }, kNoMemoryForResponse)
                      : std::move(response).status();
    if (!status.ok()) failure_ = std::move(status);
    server::HappensBefore(&incoming_);
    if (failure_.ok()) return StartRead(&incoming_);
    context_.TryCancel();
  }
  void OnDone(const grpc::Status& status) override {
    server::HappensAfter(&incoming_);
    server::HappensAfter(&outgoing_);
    const CallbackScope scope;
    absl::Status result = failure_.ok() ? StatusOf(status) : std::move(failure_);
    const std::function<void(absl::Status)> done = std::move(done_);
    delete this;  // The context holds the channel: see Dispose.
    done(std::move(result));
  }

 private:
  void WriteNext() {
    outgoing_.Clear();
    const std::optional<codec::Envelope> message = exchange_->Send();
    if (message) outgoing_ = rpc::ToByteBuffer(*message);
    server::HappensBefore(&outgoing_);
    if (!message) return StartWritesDone();
    StartWrite(&outgoing_);
  }

  grpc::ClientContext context_;
  BufferPool& buffers_;
  std::shared_ptr<StreamExchange> exchange_;
  std::function<void(absl::Status)> done_;
  grpc::ByteBuffer incoming_;
  grpc::ByteBuffer outgoing_;
  absl::Status failure_;
};

class GrpcConnection final : public Connection {
 public:
  GrpcConnection(std::shared_ptr<grpc::Channel> channel, const ConnectOptions& options)
      : stub_(std::move(channel)),
        authorization_(options.token),
        buffers_(options.max_idle_buffer_bytes),
        stream_above_bytes_(options.stream_above_bytes) {}

  void Start(const Rpc& rpc, std::function<void(absl::Status)> done) override {
    UnaryCall::Start(stub_, authorization_, buffers_, rpc, std::move(done));
  }

  int64_t stream_above_bytes(int64_t divisor) const override { return stream_above_bytes_ / divisor; }
  void Stream(std::shared_ptr<StreamExchange> exchange, absl::Time deadline,
              std::function<void(absl::Status)> done) override {
    new StreamingCall(stub_, authorization_, buffers_, std::move(exchange), deadline, std::move(done));
  }

  absl::StatusOr<std::shared_ptr<MessageStream>> OpenStream(const StreamRpc& rpc) override {
    return MakeGrpcMessageStream(stub_, authorization_, buffers_, rpc);
  }

  BufferPool& buffers() override { return buffers_; }

 private:
  grpc::GenericStub stub_;
  const Authorization authorization_;
  BufferPool buffers_;
  const int64_t stream_above_bytes_;
};

grpc::ChannelArguments Arguments() {
  grpc::ChannelArguments arguments;
  // The server's limit is what counts, for requests and for responses.
  arguments.SetMaxReceiveMessageSize(-1);
  arguments.SetMaxSendMessageSize(-1);
  // A server that vanished without closing the connection is noticed while calls wait for it. The server allows pings
  // every 10 seconds.
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 30'000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 10'000);
  return arguments;
}

}  // namespace

absl::StatusOr<std::shared_ptr<Connection>> MakeGrpcConnection(std::string_view target, const ConnectOptions& options) {
  rpc::KeepGrpcInitialized();
  SPIKESERVE_ASSIGN_OR_RETURN(std::shared_ptr<grpc::Channel> channel, MakeChannel(target, options, Arguments()));
  return std::shared_ptr<Connection>(new GrpcConnection(std::move(channel), options), Dispose<GrpcConnection>);
}

}  // namespace spikeserve

#include "grpc_message_stream.h"

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "dispose.h"
#include "grpc_messages.h"
#include "grpcpp/grpcpp.h"
#include "rpc/byte_buffer.h"
#include "runtime/happens_before.h"

namespace spikeserve {
namespace {

class GrpcMessageStream final : public MessageStream, public std::enable_shared_from_this<GrpcMessageStream> {
 public:
  GrpcMessageStream(const Authorization& authorization, BufferPool& buffers, const StreamRpc& rpc)
      : buffers_(buffers), response_prototype_(*rpc.response_prototype), call_(std::make_unique<Call>(*this)) {
    call_->keep_alive = rpc.keep_alive;
    authorization.AddTo(call_->context);
    if (rpc.deadline != absl::InfiniteFuture()) call_->context.set_deadline(absl::ToChronoTime(rpc.deadline));
  }

  void Start(grpc::GenericStub& stub, std::string_view path) {
    call_->stream = shared_from_this();
    stub.PrepareBidiStreamingCall(&call_->context, std::string(path), grpc::StubOptions(), call_.get());
    OnSendable(true);
    call_->AddHold();  // Messages are sent from threads that gRPC knows nothing of.
    StartReceive();
    call_->StartCall();
  }

  void Cancel() override {
    const std::lock_guard lock(mutex_);
    if (call_ == nullptr) return;
    call_->context.TryCancel();
    // Where a response waits to be received there is no read, whose end would do it. (gRPC tells of the end in another
    // thread, so that the lock may be held.)
    if (std::exchange(may_start_, false) && !reading_) call_->RemoveHold();
  }

 private:
  // The call, with all that goes when gRPC is done with it.
  struct Call final : grpc::ClientBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
    explicit Call(GrpcMessageStream& owner_in) : owner(owner_in) {}
    // Writes and reads are told apart: neither comes before the other.
    void OnWriteDone(bool ok) override {
      server::HappensAfter(&outgoing);
      owner.OnSent(ok);
    }
    void OnWritesDoneDone(bool) override { server::HappensAfter(&outgoing); }
    void OnReadDone(bool ok) override {
      server::HappensAfter(&incoming);
      owner.OnRead(ok);
    }
    void OnDone(const grpc::Status& status) override {
      server::HappensAfter(&incoming);
      server::HappensAfter(&outgoing);
      owner.End(status);
    }

    GrpcMessageStream& owner;
    grpc::ClientContext context;
    grpc::ByteBuffer incoming;
    grpc::ByteBuffer outgoing;
    // Keep the owner, and what it needs, until the end.
    std::shared_ptr<GrpcMessageStream> stream;
    std::shared_ptr<const void> keep_alive;
  };

  void StartSend(codec::Envelope message) override {
    grpc::ByteBuffer bytes = rpc::ToByteBuffer(message);
    const std::lock_guard lock(mutex_);
    if (!may_start_) return;
    call_->outgoing.Swap(&bytes);
    server::HappensBefore(&call_->outgoing);
    call_->StartWrite(&call_->outgoing);
  }
  void StartCloseSend() override {
    const std::lock_guard lock(mutex_);
    if (!may_start_) return;
    server::HappensBefore(&call_->outgoing);
    call_->StartWritesDone();
  }
  void StartReceive() override {
    const std::lock_guard lock(mutex_);
    if (!may_start_) return;
    reading_ = true;
    server::HappensBefore(&call_->incoming);
    call_->StartRead(&call_->incoming);
  }

  void OnSent(bool ok) {
    call_->outgoing.Clear();
    OnSendable(ok);
  }
  void OnRead(bool ok) {
    absl::StatusOr<codec::Envelope> response = absl::UnknownError("the stream has ended");
    if (ok) response = ReadResponse(call_->incoming, response_prototype_, buffers_);
    {
      const std::lock_guard lock(mutex_);
      reading_ = false;
      if (!response.ok()) may_start_ = false;
      if (ok && !response.ok()) {
        failure_ = response.status();
        call_->context.TryCancel();
      }
      if (!may_start_) call_->RemoveHold();
    }
    if (response.ok()) OnReceived(*std::move(response));
  }
  void End(const grpc::Status& status) {
    const CallbackScope scope;
    std::unique_ptr<Call> call;
    {
      const std::lock_guard lock(mutex_);
      call = std::move(call_);
    }
    const std::shared_ptr<GrpcMessageStream> self = std::move(call->stream);
    const std::shared_ptr<const void> keep_alive = std::move(call->keep_alive);
    call.reset();  // The context holds the channel: see Dispose.
    OnEnded(failure_.ok() ? StatusOf(status) : failure_);
  }

  BufferPool& buffers_;
  const google::protobuf::Message& response_prototype_;
  std::mutex mutex_;
  // Until the end. Guarded by mutex_, but for what gRPC is told to work on.
  std::unique_ptr<Call> call_;
  // Whether an operation may be started; guarded by mutex_, as is the next one. Where none may be, and nothing is read,
  // the hold is removed, once: gRPC tells how the stream ended when that is done and nothing is under way.
  bool may_start_ = true;
  bool reading_ = false;
  // Set before the end.
  absl::Status failure_;
};

}  // namespace

std::shared_ptr<MessageStream> MakeGrpcMessageStream(grpc::GenericStub& stub, const Authorization& authorization,
                                                     BufferPool& buffers, const StreamRpc& rpc) {
  auto stream = std::make_shared<GrpcMessageStream>(authorization, buffers, rpc);
  stream->Start(stub, rpc.path);
  return stream;
}

}  // namespace spikeserve

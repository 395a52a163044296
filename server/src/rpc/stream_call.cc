#include "rpc/stream_call.h"

#include <memory>
#include <utility>

#include "absl/time/time.h"
#include "grpcpp/grpcpp.h"
#include "rpc/byte_buffer.h"
#include "rpc/caller_of.h"
#include "rpc/rich_status.h"
#include "rpc/sent_answer.h"
#include "runtime/at_once.h"
#include "runtime/happens_before.h"

namespace spikeserve::rpc {
namespace {

using grpc::ByteBuffer;
using server::Stream;

class StreamCall final : public StreamReactor, public server::StreamTransport {
 public:
  StreamCall(const ServiceHost& host, const char* path, grpc::CallbackServerContext* context)
      : engine_(host.engine), answers_(host.answers), context_(*context), counted_(answers_.Begin()), answer_(host) {
    absl::StatusOr<server::Caller> caller = CallerOf(*context, host.caller_rules);
    if (!caller.ok()) {
      engine_.ReportRefusal(path, PeerOf(*context), caller.status());
      Finish(caller.status());
      return;
    }
    server::StreamingCall call;
    call.path = path;
    call.caller = *std::move(caller);
    call.deadline = absl::FromChrono(context->deadline());
    call.cancelled = [context] { return context->IsCancelled(); };
    absl::StatusOr<std::shared_ptr<Stream>> stream = engine_.OpenStream(std::move(call), *this);
    if (!stream.ok()) {
      Finish(stream.status());
      return;
    }
    stream_ = *std::move(stream);
    server::HappensBefore(this);
    stream_->Start();
  }

  // StreamTransport: what the stream asks for.
  void Read() override {
    server::HappensBefore(&incoming_);
    StartRead(&incoming_);
  }
  void Write(codec::Envelope response) override {
    outgoing_ = ToByteBuffer(response);
    answer_.Begin(context_.c_call(), outgoing_, response);
    server::HappensBefore(&outgoing_);
    StartWrite(&outgoing_);
  }
  void Finish(const absl::Status& status) override {
    grpc::Status grpc_status = ToGrpc(status, context_);
    server::HappensBefore(this);
    StreamReactor::Finish(std::move(grpc_status));
  }

  // Reactor: what gRPC tells. Each holds the stream while it calls it, because the end of the call deletes this object,
  // also from inside of Finish.
  void OnReadDone(bool ok) override {
    server::HappensAfter(&incoming_);
    const std::shared_ptr<Stream> stream = stream_;
    if (!ok) return stream->OnRead(std::nullopt);
    auto bytes = std::make_shared<ByteBuffer>();
    bytes->Swap(&incoming_);
    const size_t size = bytes->Length();
    stream->OnRead(
        Stream::Message{[bytes = std::move(bytes), &engine = engine_](const google::protobuf::Message& prototype) {
                          return FromByteBuffer(*bytes, prototype, engine.buffers(), engine.limits().max_decoded_bytes);
                        },
                        /*may_compute_at_once=*/size <= server::kSmallRequest, static_cast<int64_t>(size)});
  }
  void OnWriteDone(bool ok) override {
    server::HappensAfter(&outgoing_);
    answer_.End();
    const std::shared_ptr<Stream> stream = stream_;
    outgoing_.Clear();
    stream->OnWritten(ok);
  }
  void OnCancel() override {
    server::HappensAfter(this);
    if (const std::shared_ptr<Stream> stream = stream_) stream->OnCancelled();
  }
  void OnDone() override {
    server::HappensAfter(this);
    server::HappensAfter(&incoming_);
    server::HappensAfter(&outgoing_);
    Answers& answers = answers_;
    const bool counted = counted_;
    delete this;
    answers.End(counted);
  }

 private:
  server::Engine& engine_;
  Answers& answers_;
  grpc::CallbackServerContext& context_;
  const bool counted_;
  std::shared_ptr<Stream> stream_;
  ByteBuffer incoming_;
  ByteBuffer outgoing_;
  SentAnswer answer_;
};

}  // namespace

StreamReactor* NewStreamCall(const ServiceHost& host, const char* path, grpc::CallbackServerContext* context) {
  return new StreamCall(host, path, context);
}

}  // namespace spikeserve::rpc

#include <memory>
#include <utility>

#include "connection.h"
#include "dispose.h"
#include "in_process_message_stream.h"
#include "runtime/engine.h"

namespace spikeserve {
namespace {

class InProcessConnection final : public Connection {
 public:
  explicit InProcessConnection(std::unique_ptr<server::Engine> engine)
      : engine_(engine.release(), Dispose<server::Engine>) {}

  void Start(const Rpc& rpc, std::function<void(absl::Status)> done) override {
    server::Call call;
    call.path = rpc.path;
    call.request = [request = rpc.request](const google::protobuf::Message&, BufferPool&) { return request; };
    call.deadline = rpc.deadline;
    call.respond = [response = rpc.response](server::EnvelopeOr result) {
      if (result.ok()) *response = *std::move(result);
      return result.status();
    };
    call.finish = std::move(done);
    engine_->Submit(std::move(call));
  }

  // There is no message that could be too large.
  int64_t stream_above_bytes(int64_t /*divisor*/) const override { return INT64_MAX; }
  void Stream(std::shared_ptr<StreamExchange>, absl::Time, std::function<void(absl::Status)> done) override {
    done(absl::UnimplementedError("calls in process are not streamed"));
  }

  absl::StatusOr<std::shared_ptr<MessageStream>> OpenStream(const StreamRpc& rpc) override {
    return MakeInProcessMessageStream(*engine_, rpc);
  }

  BufferPool& buffers() override { return engine_->buffers(); }

 private:
  const std::unique_ptr<server::Engine, void (*)(server::Engine*)> engine_;
};

}  // namespace

std::shared_ptr<Connection> MakeInProcessConnection(std::unique_ptr<server::Engine> engine) {
  return std::make_shared<InProcessConnection>(std::move(engine));
}

}  // namespace spikeserve

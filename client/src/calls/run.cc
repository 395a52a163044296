#include <memory>
#include <optional>
#include <utility>

#include "calls/records.h"
#include "connection.h"
#include "message_stream.h"
#include "rpc_traits.h"
#include "spikeserve/client/client.h"
#include "spikeserve/client/network_run.h"
#include "spikeserve/v1/networks.pb.h"
#include "status_macros.h"

namespace spikeserve {
namespace {

using Request = v1::RunRequest;
using Response = v1::RunResponse;

}  // namespace

class NetworkRun::Impl {
 public:
  Impl(RunArgs args, std::shared_ptr<Connection> connection, std::shared_ptr<MessageStream> stream)
      : args_(std::move(args)), connection_(std::move(connection)), stream_(std::move(stream)) {}
  ~Impl() { stream_->Cancel(); }

  // `input`: null for none.
  absl::Status Send(const TensorView* input, const SendOptions& options) {
    RequestBuilder<Request> request(connection_->buffers(), /*lease=*/nullptr);
    if (!opened_) {
      opened_ = true;
      request->mutable_open()->set_network(args_.network);
      EncodeStepOptions(args_, *request->mutable_open());
    }
    if (input != nullptr) request.Put(Request::kInputFieldNumber, *input);
    request->set_reset(options.reset);
    if (options.step) request->set_step(*options.step);
    return stream_->Send(std::move(request).Release());
  }

  absl::StatusOr<Result> Receive() {
    SPIKESERVE_ASSIGN_OR_RETURN(std::optional<codec::Envelope> message, stream_->Receive());
    if (!message) return absl::OutOfRangeError("the stream has ended");
    ResponseReader<Response> response(*message);
    Result result;
    SPIKESERVE_ASSIGN_OR_RETURN(auto output, response.TakeOptional(Response::kOutputFieldNumber, "output"));
    if (output) result.output = *std::move(output);
    SPIKESERVE_ASSIGN_OR_RETURN(result.records, DecodeRecords(response->records()));
    result.next_step = response->next_step();
    return result;
  }

  absl::Status Finish() {
    stream_->CloseSend();
    while (true) {
      SPIKESERVE_ASSIGN_OR_RETURN(const std::optional<codec::Envelope> rest, stream_->Receive());
      if (!rest) return absl::OkStatus();
    }
  }

  void Cancel() { stream_->Cancel(); }

 private:
  const RunArgs args_;
  const std::shared_ptr<Connection> connection_;
  const std::shared_ptr<MessageStream> stream_;
  bool opened_ = false;
};

NetworkRun::NetworkRun(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
NetworkRun::NetworkRun(NetworkRun&&) noexcept = default;
NetworkRun& NetworkRun::operator=(NetworkRun&&) noexcept = default;
NetworkRun::~NetworkRun() = default;

absl::Status NetworkRun::Send(const TensorView& input, const SendOptions& options) {
  return impl_->Send(&input, options);
}

absl::Status NetworkRun::SendReset(std::optional<uint64_t> step) {
  return impl_->Send(nullptr, {.reset = true, .step = step});
}

absl::StatusOr<NetworkRun::Result> NetworkRun::Receive() { return impl_->Receive(); }

absl::StatusOr<NetworkRun::Result> NetworkRun::Step(const TensorView& input, const SendOptions& options) {
  // Where the stream has ended, Receive tells why.
  impl_->Send(&input, options).IgnoreError();
  return impl_->Receive();
}

absl::Status NetworkRun::Finish() { return impl_->Finish(); }

void NetworkRun::Cancel() { impl_->Cancel(); }

absl::StatusOr<NetworkRun> NetworkHandle::Run(RunArgs args, const CallOptions& o) const {
  static const MethodInfo& method = *new MethodInfo(FindMethod(Request::descriptor()));
  args.network = name_;
  const std::shared_ptr<Connection>& connection = client_.connection_;
  SPIKESERVE_ASSIGN_OR_RETURN(
      std::shared_ptr<MessageStream> stream,
      connection->OpenStream({method.path, &Response::default_instance(), absl::Now() + o.timeout, connection}));
  return NetworkRun(std::make_unique<NetworkRun::Impl>(std::move(args), connection, std::move(stream)));
}

}  // namespace spikeserve

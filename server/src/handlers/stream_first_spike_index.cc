#include <memory>
#include <optional>
#include <utility>

#include "handlers/first_spikes.h"
#include "handlers/stream_handlers.h"

namespace spikeserve::server {
namespace {

using Request = v1::StreamFirstSpikeIndexRequest;
using Response = v1::StreamFirstSpikeIndexResponse;

class StreamFirstSpikeIndex : public OpenedStream<Request> {
 public:
  absl::Status Close(Context&) override { return absl::OkStatus(); }

  absl::StatusOr<std::optional<codec::Envelope>> Next(Context&) override {
    return std::exchange(response_, std::nullopt);
  }

 protected:
  absl::Status Open(Incoming<Request> request, Context&) override {
    // What it keeps is a few bytes, whatever else is in the message.
    options_.set_mask_dtype(request->open().mask_dtype());
    options_.set_index_output(request->open().index_output());
    return absl::OkStatus();
  }

  absl::Status TakePiece(Incoming<Request> request, Context& context) override {
    if (!request.has_tensor(Request::kSpikesFieldNumber)) return absl::OkStatus();
    Outgoing<Response> response(context.buffers);
    SPIKESERVE_RETURN_IF_ERROR(FindFirstSpikes(request.tensor(Request::kSpikesFieldNumber), options_, context,
                                               response.tensor(Response::kIndexFieldNumber)));
    response_ = std::move(response).Release();
    return absl::OkStatus();
  }

 private:
  v1::FirstSpikeIndexRequest options_;
  std::optional<codec::Envelope> response_;
};

}  // namespace

std::unique_ptr<StreamHandler> MakeStreamFirstSpikeIndex() { return std::make_unique<StreamFirstSpikeIndex>(); }

}  // namespace spikeserve::server

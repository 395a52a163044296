#include <algorithm>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "handlers/change.h"
#include "handlers/run_steps.h"
#include "handlers/stream_handlers.h"
#include "spikeserve/v1/networks.pb.h"
#include "status_macros.h"

namespace spikeserve::server {
namespace {

using Request = v1::RunRequest;
using Response = v1::RunResponse;

class Run : public StreamHandler {
 public:
  const std::string* NetworkOf(const codec::Envelope& message) override {
    if (const Incoming<Request> request(message); !network_ && request->has_open()) {
      network_ = request->open().network();
    }
    return network_ ? &*network_ : nullptr;
  }

  int64_t Work(const codec::Envelope& message, const HeldNetwork& held) const override {
    const codec::WireTensor input = Incoming<Request>(message).tensor(Request::kInputFieldNumber);
    const int channels = options_.single_step ? 1 : 2;
    double positions = 1, elements = 1;
    for (int d = 0; d < input.header.shape_size(); ++d) {
      const auto length = static_cast<double>(std::max<int64_t>(input.header.shape(d), 0));
      elements *= length;
      if (d != channels) positions *= length;
    }
    // Every parameter is met in each step of each sample, those of a convolution at about each position of a plane.
    const double work = elements + positions * static_cast<double>(held.parameter_bytes) / sizeof(float);
    return work < 1e18 ? static_cast<int64_t>(work) : std::numeric_limits<int64_t>::max();
  }

  absl::Status Take(const codec::Envelope& message, HeldNetwork* held, Context& context) override {
    const Incoming<Request> request(message);
    SPIKESERVE_RETURN_IF_ERROR(CheckOpen(request->has_open(), opened_));
    if (!opened_) {
      SPIKESERVE_ASSIGN_OR_RETURN(options_, DecodeStepOptions(request->open()));
      opened_ = true;
      for (const RecordRequest& record : options_.records) {
        kept_bytes_ += static_cast<int64_t>(sizeof(record) + record.layer.size());
      }
    }
    if (!request->reset() && !request.has_tensor(Request::kInputFieldNumber)) return absl::OkStatus();
    SPIKESERVE_ASSIGN_OR_RETURN(
        response_, ChangeNetwork<Response>(request->has_step() ? std::optional(request->step()) : std::nullopt, *held,
                                           context, [&] { return CarryOut(request, *held, context); }));
    return absl::OkStatus();
  }

  absl::Status Close(Context&) override { return absl::OkStatus(); }

  int64_t KeptBytes() const override { return kept_bytes_; }

  absl::StatusOr<std::optional<codec::Envelope>> Next(Context&) override {
    return std::exchange(response_, std::nullopt);
  }

 private:
  absl::StatusOr<Outgoing<Response>> CarryOut(const Incoming<Request>& request, HeldNetwork& held,
                                              Context& context) const {
    Network& network = held.network;
    if (!request.has_tensor(Request::kInputFieldNumber)) {
      network.Reset();
      return Outgoing<Response>(context.buffers);
    }
    const codec::WireTensor input = request.tensor(Request::kInputFieldNumber);
    if (!request->reset()) return RunSteps<Response>(input, options_, held, context);
    // Where the input turns out to be wrong, there is no reset either.
    absl::StatusOr<Outgoing<Response>> response;
    SPIKESERVE_RETURN_IF_ERROR(network.ResetAndRun([&] {
      response = RunSteps<Response>(input, options_, held, context);
      return response.status();
    }));
    return response;
  }

  // The stream's network, from the first message on.
  std::optional<std::string> network_;
  bool opened_ = false;
  StepOptions options_;
  int64_t kept_bytes_ = 0;
  std::optional<codec::Envelope> response_;
};

}  // namespace

std::unique_ptr<StreamHandler> MakeRun() { return std::make_unique<Run>(); }

}  // namespace spikeserve::server

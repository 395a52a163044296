// The handlers of streams, and what they share. Each is in a file of its own, and a line of stream_method_table.cc.

#ifndef SPIKESERVE_SERVER_HANDLERS_STREAM_HANDLERS_H_
#define SPIKESERVE_SERVER_HANDLERS_STREAM_HANDLERS_H_

#include <memory>

#include "absl/status/status.h"
#include "codec/typed_envelope.h"
#include "runtime/stream_method.h"
#include "spikeserve/compute/field_error.h"
#include "spikeserve/v1/streams.pb.h"
#include "status_macros.h"

namespace spikeserve::server {

using codec::Incoming;
using codec::Outgoing;

std::unique_ptr<StreamHandler> MakeStreamSpikeCluster();
std::unique_ptr<StreamHandler> MakeStreamFirstSpikeIndex();
std::unique_ptr<StreamHandler> MakeStreamKernelDotProduct();
std::unique_ptr<StreamHandler> MakeStreamSpikeSimilarLoss();
std::unique_ptr<StreamHandler> MakeRun();

// INVALID_ARGUMENT unless the first message of a stream, and no other, has the field `open`. `opened`: it is not the
// first one.
inline absl::Status CheckOpen(bool has_open, bool opened) {
  if (has_open != opened) return absl::OkStatus();
  return opened ? InvalidField("open", "set again", "it in the first message only")
                : InvalidField("open", "absent", "it in the first message");
}

// A stream on a function, whose first message, and no other, has the field `open`.
template <typename Request>
class OpenedStream : public StreamHandler {
 public:
  absl::Status Take(const codec::Envelope& message, HeldNetwork*, Context& context) final {
    const Incoming<Request> request(message);
    SPIKESERVE_RETURN_IF_ERROR(CheckOpen(request->has_open(), opened_));
    if (!opened_) {
      opened_ = true;
      SPIKESERVE_RETURN_IF_ERROR(Open(request, context));
    }
    return TakePiece(request, context);
  }

 protected:
  // The first message, which TakePiece gets as well.
  virtual absl::Status Open(Incoming<Request> request, Context& context) = 0;
  virtual absl::Status TakePiece(Incoming<Request> request, Context& context) = 0;

 private:
  bool opened_ = false;
};

}  // namespace spikeserve::server

#endif  // SPIKESERVE_SERVER_HANDLERS_STREAM_HANDLERS_H_

// Changes of a network that the server holds: what every one of them does besides its work, be it a call or a message
// of a stream.

#ifndef SPIKESERVE_SERVER_HANDLERS_CHANGE_H_
#define SPIKESERVE_SERVER_HANDLERS_CHANGE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "codec/typed_envelope.h"
#include "runtime/context.h"
#include "runtime/network_store.h"
#include "spikeserve/compute/field_error.h"

namespace spikeserve::server {

// Makes `change` the next change of the network, whose reply, with the number of the one after it, is returned.
// `change` leaves the network as it was where it fails, which then is no change. Where it throws, as when memory runs
// out while its reply is made, nobody knows what it left: it counts, without a reply, so that a repetition is refused
// and not made on top of it.
//
// A caller that gives the change's number, `step`, may repeat it where it does not know whether it arrived: the last
// number's reply is kept, and returned without another change. Any other wrong number is FAILED_PRECONDITION, as is the
// last one where its reply was no Response.
template <typename Response>
absl::StatusOr<codec::Envelope> ChangeNetwork(std::optional<uint64_t> step, HeldNetwork& held, Context& context,
                                              absl::FunctionRef<absl::StatusOr<codec::Outgoing<Response>>()> change) {
  if (step && *step != held.next_step) {
    if (*step + 1 == held.next_step && held.last_reply != nullptr &&
        held.last_reply->message->GetDescriptor() == Response::descriptor()) {
      return held.last_reply->Share();
    }
    return FieldError(absl::StatusCode::kFailedPrecondition, "step", absl::StrCat(*step),
                      absl::StrCat(held.next_step, ", the number of the network's next change"));
  }
  // The change reserves what it may take; this gives back what it did not.
  const absl::Cleanup give_back = [&] { context.networks.SetBytes(held, held.ByteSize()).IgnoreError(); };
  absl::Cleanup count_thrown = [&] {
    ++held.next_step;
    held.last_reply = nullptr;
  };
  absl::StatusOr<codec::Outgoing<Response>> response = change();
  if (!response.ok()) {
    std::move(count_thrown).Cancel();
    return std::move(response).status();
  }
  (*response)->set_next_step(held.next_step + 1);
  codec::Envelope reply = std::move(*response).Release();
  // Only a caller that counts steps can ask for the reply again.
  auto kept = step ? std::make_unique<const codec::Envelope>(reply.ShareAside(context.buffers)) : nullptr;
  std::move(count_thrown).Cancel();
  ++held.next_step;
  held.last_reply = std::move(kept);
  return reply;
}

}  // namespace spikeserve::server

#endif  // SPIKESERVE_SERVER_HANDLERS_CHANGE_H_

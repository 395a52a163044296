// Envelopes <-> whole messages, by way of the wire.

#ifndef SPIKESERVE_TESTS_SUPPORT_ENVELOPES_H_
#define SPIKESERVE_TESTS_SUPPORT_ENVELOPES_H_

#include <string>

#include "absl/status/statusor.h"
#include "codec/envelope.h"

namespace spikeserve::testing {

inline absl::StatusOr<codec::Envelope> ToEnvelope(const google::protobuf::Message& message, BufferPool& buffers) {
  const std::string bytes = message.SerializeAsString();
  const absl::string_view piece = bytes;
  return codec::ParseEnvelope(absl::MakeConstSpan(&piece, 1), message, buffers);
}

inline std::string Serialized(const codec::Envelope& envelope) {
  std::string bytes;
  for (const codec::Bytes& piece : codec::SerializeEnvelope(envelope)) bytes.append(piece.view().data(), piece.size);
  return bytes;
}

}  // namespace spikeserve::testing

#endif  // SPIKESERVE_TESTS_SUPPORT_ENVELOPES_H_

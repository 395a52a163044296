// The tensors inside of a message's messages, which the envelope leaves there.

#ifndef SPIKESERVE_SERVER_CODEC_NESTED_TENSORS_H_
#define SPIKESERVE_SERVER_CODEC_NESTED_TENSORS_H_

#include <cstdint>

#include "absl/status/status.h"
#include "google/protobuf/message.h"

namespace spikeserve::codec {

// What all tensors in `message`, at any depth, would take when decoded to float, with lengths of 0 counted as 1; 2^63 -
// 1 where that is more. Bits and events take next to nothing on the wire: a request with many tensors is asked this
// before they are decoded and kept. Shapes that Decode refuses count as nothing.
int64_t NestedFloatBytes(const google::protobuf::Message& message);

// For what has all its elements, a file or a server's response: RESOURCE_EXHAUSTED where the tensors in `message`, at
// any depth, would take more as floats than elements of which there is a bit each, and a few megabytes. So a short
// message cannot make its reader take memory without end.
absl::Status CheckElementsAreThere(const google::protobuf::Message& message);

}  // namespace spikeserve::codec

#endif  // SPIKESERVE_SERVER_CODEC_NESTED_TENSORS_H_

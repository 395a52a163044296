// What a message takes that is not parsed yet.

#ifndef SPIKESERVE_SERVER_CODEC_PARSED_SIZE_H_
#define SPIKESERVE_SERVER_CODEC_PARSED_SIZE_H_

#include <cstdint>
#include <optional>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "google/protobuf/descriptor.h"

namespace spikeserve::codec {

// About the memory that a message of `type` takes at most which is parsed from these bytes, beside the elements of
// tensors in the `data` form. Something above `enough`
// where it is more than that: what comes then is not looked at. nullopt where the bytes cannot be read.
std::optional<int64_t> ParsedSize(absl::Span<const absl::string_view> pieces, const google::protobuf::Descriptor* type,
                                  int64_t enough);

}  // namespace spikeserve::codec

#endif  // SPIKESERVE_SERVER_CODEC_PARSED_SIZE_H_

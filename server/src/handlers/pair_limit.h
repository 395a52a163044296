// The limit of pairs of samples, which SpikeSimilarLoss and StreamSpikeSimilarLoss share.

#ifndef SPIKESERVE_SERVER_HANDLERS_PAIR_LIMIT_H_
#define SPIKESERVE_SERVER_HANDLERS_PAIR_LIMIT_H_

#include <cstdint>
#include <string_view>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "runtime/context.h"
#include "spikeserve/compute/field_error.h"

namespace spikeserve::server {

// RESOURCE_EXHAUSTED where so many samples have more pairs than --max-pairs.
inline absl::Status CheckPairs(int64_t samples, std::string_view field, const Context& context) {
  if (samples == 0 || samples <= context.limits.max_pairs / samples) return absl::OkStatus();
  return FieldError(absl::StatusCode::kResourceExhausted, field, absl::StrCat(samples, " samples"),
                    absl::StrCat("at most ", context.limits.max_pairs, " pairs of samples (the server's --max-pairs)"));
}

}  // namespace spikeserve::server

#endif  // SPIKESERVE_SERVER_HANDLERS_PAIR_LIMIT_H_

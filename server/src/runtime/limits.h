// What a server allows; each has a flag of the same name.

#ifndef SPIKESERVE_SERVER_RUNTIME_LIMITS_H_
#define SPIKESERVE_SERVER_RUNTIME_LIMITS_H_

#include <cstdint>
#include <limits>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "spikeserve/compute/field_error.h"

namespace spikeserve::server {

struct Limits {
  // The bytes of one request or response message.
  int64_t max_message_bytes = int64_t{256} << 20;
  // The bytes of one tensor after decoding: bits and events take less on the wire.
  int64_t max_decoded_bytes = int64_t{1} << 30;
  // The pairs of samples of one SpikeSimilarLoss, and of a training step's similarity loss.
  int64_t max_pairs = int64_t{1} << 30;
  // The calls that wait or compute at the same time.
  int64_t max_calls = 1024;
  // The bytes of messages and tensors of all calls together, results included until they are sent.
  int64_t max_bytes_in_flight = std::numeric_limits<int64_t>::max();
  // About how long a call may have to wait until it is computed. One on each thread may always wait. (An application
  // that computes in process waits as long as it likes; a server's flag has another default.)
  absl::Duration max_queue_delay = absl::InfiniteDuration();
  // How long one call, or one message of a stream, computes. Changes of a network that cannot be undone are carried
  // out.
  absl::Duration max_compute_time = absl::InfiniteDuration();
  // The bytes of buffers that are kept for the next call. (The server process lets each of its heaps keep as much.)
  int64_t max_idle_buffer_bytes = int64_t{512} << 20;
  // The networks held at the same time, and the bytes they take together.
  int64_t max_networks = 1024;
  int64_t max_network_bytes = int64_t{4} << 30;
  // The same of one caller's networks (Caller::identity); 0: as for all together.
  int64_t max_networks_per_identity = 0;
  int64_t max_network_bytes_per_identity = 0;
  // The bytes that one network's trace takes: what Forward keeps for Backward, and TrainStep while it runs.
  int64_t max_trace_bytes = int64_t{1} << 30;
  // How long a network is kept without a call.
  absl::Duration network_idle_timeout = absl::Hours(1);
};

// RESOURCE_EXHAUSTED that names the limit's flag: `field` would be or take `got` `unit`.
inline absl::Status OverLimit(std::string_view field, int64_t got, std::string_view unit, int64_t limit,
                              std::string_view flag) {
  return FieldError(absl::StatusCode::kResourceExhausted, field, absl::StrCat(got, " ", std::string(unit)),
                    absl::StrCat("at most ", limit, " (the server's ", std::string(flag), ")"));
}

}  // namespace spikeserve::server

#endif  // SPIKESERVE_SERVER_RUNTIME_LIMITS_H_

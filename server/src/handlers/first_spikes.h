// What FirstSpikeIndex and StreamFirstSpikeIndex share.

#ifndef SPIKESERVE_SERVER_HANDLERS_FIRST_SPIKES_H_
#define SPIKESERVE_SERVER_HANDLERS_FIRST_SPIKES_H_

#include "absl/status/status.h"
#include "codec/tensor_codec.h"
#include "runtime/context.h"
#include "spikeserve/v1/functions.pb.h"

namespace spikeserve::server {

// Finds the first spikes of `spikes`, and writes them to `out` as `options` say, whose own spikes are not looked at.
absl::Status FindFirstSpikes(const codec::WireTensor& spikes, const v1::FirstSpikeIndexRequest& options,
                             Context& context, const codec::TensorTarget& out);

}  // namespace spikeserve::server

#endif  // SPIKESERVE_SERVER_HANDLERS_FIRST_SPIKES_H_

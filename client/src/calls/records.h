// What is asked for of a network's steps, and its records: of Forward, Run and GetNetwork.

#ifndef SPIKESERVE_CLIENT_CALLS_RECORDS_H_
#define SPIKESERVE_CLIENT_CALLS_RECORDS_H_

#include <vector>

#include "absl/status/statusor.h"
#include "codec/tensor_codec.h"
#include "google/protobuf/repeated_ptr_field.h"
#include "spikeserve/client/networks.h"
#include "spikeserve/v1/networks.pb.h"

namespace spikeserve {

// The options that ForwardArgs and RunArgs have alike, for ForwardRequest and RunRequest.Open.
template <typename Args, typename Request>
void EncodeStepOptions(const Args& args, Request& request) {
  request.set_single_step(args.single_step);
  request.set_mask_dtype(codec::ToWire(args.mask_dtype));
  for (const RecordRequest& record : args.records) {
    v1::RecordRequest* out = request.add_records();
    out->set_layer(record.layer);
    out->set_spikes(record.spikes);
    out->set_v_before_reset(record.v_before_reset);
    out->set_v_after_reset(record.v_after_reset);
  }
}

absl::StatusOr<std::vector<RecordTensors>> DecodeRecords(
    const google::protobuf::RepeatedPtrField<v1::LayerRecord>& records);

}  // namespace spikeserve

#endif  // SPIKESERVE_CLIENT_CALLS_RECORDS_H_

#include "calls/records.h"

#include <optional>
#include <string_view>
#include <utility>

#include "codec/tensor_codec.h"
#include "status_macros.h"

namespace spikeserve {
namespace {

absl::StatusOr<std::optional<Tensor>> DecodeOptional(bool has, const v1::Tensor& tensor, std::string_view field) {
  if (!has) return std::nullopt;
  SPIKESERVE_ASSIGN_OR_RETURN(Tensor out, codec::DecodeTensor(tensor, field, INT64_MAX));
  return out;
}

}  // namespace

absl::StatusOr<std::vector<RecordTensors>> DecodeRecords(
    const google::protobuf::RepeatedPtrField<v1::LayerRecord>& records) {
  std::vector<RecordTensors> out;
  for (const v1::LayerRecord& record : records) {
    RecordTensors tensors;
    tensors.layer = record.layer();
    SPIKESERVE_ASSIGN_OR_RETURN(tensors.spikes, DecodeOptional(record.has_spikes(), record.spikes(), "spikes"));
    SPIKESERVE_ASSIGN_OR_RETURN(tensors.v_before_reset,
                                DecodeOptional(record.has_v_before_reset(), record.v_before_reset(), "v_before_reset"));
    SPIKESERVE_ASSIGN_OR_RETURN(tensors.v_after_reset,
                                DecodeOptional(record.has_v_after_reset(), record.v_after_reset(), "v_after_reset"));
    out.push_back(std::move(tensors));
  }
  return out;
}

}  // namespace spikeserve

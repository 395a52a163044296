#include "spikeserve/compute/first_spike_index.h"

#include <cstdint>
#include <cstring>
#include <vector>

#include "handlers/first_spikes.h"
#include "handlers/handlers.h"
#include "handlers/operands.h"

namespace spikeserve::server {
namespace {

using Request = v1::FirstSpikeIndexRequest;
using Response = v1::FirstSpikeIndexResponse;

}  // namespace

int64_t FirstSpikeIndexWork(Incoming<Request> request) { return Elements(request.tensor(Request::kSpikesFieldNumber)); }

absl::Status FindFirstSpikes(const codec::WireTensor& spikes_tensor, const v1::FirstSpikeIndexRequest& options,
                             Context& context, const codec::TensorTarget& out) {
  SPIKESERVE_ASSIGN_OR_RETURN(const DataType mask_dtype, codec::DecodeMaskType(options.mask_dtype(), DataType::kBool,
                                                                               {DataType::kBool, DataType::kBit}));
  SPIKESERVE_ASSIGN_OR_RETURN(auto spikes, codec::Decode<uint8_t>(spikes_tensor, "spikes", codec::Accept::kBinary,
                                                                  context.limits.max_decoded_bytes));
  const Shape& shape = spikes.shape();
  if (shape.empty()) return codec::CheckRank(shape, 1, "spikes", "[*, T]");
  const Shape row_shape(shape.begin(), shape.end() - 1);
  const int64_t rows = ElementCount(row_shape).value_or(0);
  const int64_t steps = shape.back();
  SPIKESERVE_ASSIGN_OR_RETURN(const std::vector<int32_t> index,
                              spikeserve::FirstSpikeIndex(spikes.Matrix(rows, steps), context.executor));
  if (options.index_output()) {
    codec::EncodeTensor(TensorView(absl::MakeConstSpan(index), row_shape), out);
    return absl::OkStatus();
  }
  SPIKESERVE_ASSIGN_OR_RETURN(uint8_t * bytes, ResultRoom(mask_dtype, shape, "index", context, out));
  const bool bits = mask_dtype == DataType::kBit;
  const int64_t row_bytes = bits ? (steps + 7) / 8 : steps;
  std::memset(bytes, 0, static_cast<size_t>(rows * row_bytes));
  for (int64_t r = 0; r < rows; ++r) {
    if (index[r] < 0) continue;
    uint8_t* row = bytes + r * row_bytes;
    if (bits) {
      row[index[r] / 8] = static_cast<uint8_t>(1 << (index[r] % 8));
    } else {
      row[index[r]] = 1;
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<Outgoing<Response>> FirstSpikeIndex(Incoming<Request> request, Context& context) {
  Outgoing<Response> response(context.buffers);
  SPIKESERVE_RETURN_IF_ERROR(FindFirstSpikes(request.tensor(Request::kSpikesFieldNumber), *request, context,
                                             response.tensor(Response::kIndexFieldNumber)));
  return response;
}

}  // namespace spikeserve::server

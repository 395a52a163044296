#include "spikeserve/compute/first_spike_index.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
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

absl::Status FindFirstSpikes(const codec::WireTensor& spikes, const v1::FirstSpikeIndexRequest& options,
                             Context& context, const codec::TensorTarget& out) {
  SPIKESERVE_ASSIGN_OR_RETURN(const DataType mask_dtype, codec::DecodeMaskType(options.mask_dtype(), DataType::kBool,
                                                                               {DataType::kBool, DataType::kBit}));
  // A scalar decodes to a shape without dimensions, and is refused then: first comes whether there is a tensor at all.
  const size_t row_dimensions = static_cast<size_t>(std::max(spikes.header.shape_size(), 1) - 1);
  Shape shape;
  std::vector<int32_t> index;
  const auto take_index = [&](int64_t rows) { return context.room.Take(rows, sizeof(int32_t)); };
  const bool bytes = spikes.header.dtype() == v1::DATA_TYPE_BOOL || spikes.header.dtype() == v1::DATA_TYPE_UINT8;
  if (bytes && spikes.header.event_deltas_size() == 0) {
    // Searched as they are, without packing.
    SPIKESERVE_ASSIGN_OR_RETURN(const auto array,
                                codec::Decode<uint8_t>(spikes, "spikes", codec::Accept::kBinary, context.room));
    shape = array.shape();
    if (shape.empty()) return codec::CheckRank(shape, 1, "spikes", "[*, T]");
    const int64_t rows = ElementCount(absl::MakeConstSpan(shape).first(row_dimensions)).value_or(0);
    SPIKESERVE_RETURN_IF_ERROR(take_index(rows));
    SPIKESERVE_ASSIGN_OR_RETURN(index, spikeserve::FirstSpikeIndex(array.Matrix(rows, shape.back()), context.executor));
  } else {
    SPIKESERVE_ASSIGN_OR_RETURN(const auto array,
                                codec::DecodeBits(spikes, "spikes", row_dimensions, "[*, T]", context.room));
    shape = array.shape();
    if (shape.empty()) return codec::CheckRank(shape, 1, "spikes", "[*, T]");
    SPIKESERVE_RETURN_IF_ERROR(take_index(array.bits().rows()));
    SPIKESERVE_ASSIGN_OR_RETURN(index, spikeserve::FirstSpikeIndex(array.bits(), context.executor));
  }

  if (options.index_output()) {
    return EncodeResult(TensorView(absl::MakeConstSpan(index), Shape(shape.begin(), shape.end() - 1)), "index", context,
                        out);
  }
  SPIKESERVE_ASSIGN_OR_RETURN(uint8_t * room, ResultRoom(mask_dtype, shape, "index", context, out));
  const auto mask = absl::MakeSpan(room, static_cast<size_t>(ByteCount(mask_dtype, shape).value_or(0)));
  if (mask_dtype == DataType::kBit) {
    WriteFirstSpikeBitMask(index, shape.back(), mask, context.executor);
  } else {
    WriteFirstSpikeMask(index, shape.back(), mask, context.executor);
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

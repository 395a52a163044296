#include <algorithm>
#include <cstdint>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "codec/tensor_codec.h"
#include "codec/training_codec.h"
#include "handlers/handlers.h"
#include "handlers/pair_limit.h"
#include "handlers/reserve.h"
#include "runtime/limits.h"
#include "status_macros.h"

namespace spikeserve::server {
namespace {

// The steps of an input that is one of them, shown `times` times.
absl::StatusOr<codec::Array<float>> Repeat(const codec::Array<float>& step, int64_t times, const codec::Room& room) {
  if (times < 1) return InvalidField("repeat_input", absl::StrCat(times), ">= 1");
  // A step without elements counts as one of some, so that no number of them makes work out of nothing.
  const auto bytes = static_cast<int64_t>(std::max<size_t>(step.values().size(), 1) * sizeof(float));
  if (times > room.max_bytes() / bytes) {
    return OverLimit("repeat_input", times, absl::StrCat("steps of ", bytes, " bytes"), room.max_bytes(),
                     "--max-decoded-bytes");
  }
  SPIKESERVE_RETURN_IF_ERROR(room.Take(times, bytes));
  Shape shape = step.shape();
  shape.insert(shape.begin(), times);
  std::vector<float> steps;
  const auto size = static_cast<int64_t>(step.values().size());
  steps.reserve(static_cast<size_t>(times * size));
  const auto append = [&](int64_t begin, int64_t end) -> absl::Status {
    while (begin < end) {
      const auto first = step.values().begin() + begin % size;
      const int64_t count = std::min(end - begin, size - begin % size);
      steps.insert(steps.end(), first, first + count);
      begin += count;
    }
    return absl::OkStatus();
  };
  SPIKESERVE_RETURN_IF_ERROR(codec::InPieces(times * size, room, append));
  return codec::Array<float>(std::move(shape), std::move(steps));
}

}  // namespace

absl::StatusOr<Outgoing<v1::TrainStepResponse>> TrainStep(Incoming<v1::TrainStepRequest> request, HeldNetwork& held,
                                                          Context& context) {
  const Limits& limits = context.limits;
  SPIKESERVE_ASSIGN_OR_RETURN(const TrainStepOptions options, codec::DecodeTrainStepOptions(*request));
  SPIKESERVE_ASSIGN_OR_RETURN(auto input, codec::Decode<float>(request.tensor(v1::TrainStepRequest::kInputFieldNumber),
                                                               "input", codec::Accept::kNumber, context.room));
  if (request->has_repeat_input()) {
    SPIKESERVE_ASSIGN_OR_RETURN(input, Repeat(input, request->repeat_input(), context.room));
  }
  SPIKESERVE_ASSIGN_OR_RETURN(auto labels,
                              codec::Decode<int64_t>(request.tensor(v1::TrainStepRequest::kLabelsFieldNumber), "labels",
                                                     codec::Accept::kInteger, context.room));
  SPIKESERVE_RETURN_IF_ERROR(codec::CheckRank(labels.shape(), 1, "labels", "[B]"));

  for (const LossTerm& term : options.losses) {
    if (!std::holds_alternative<SimilarityLoss>(term.kind)) continue;
    SPIKESERVE_RETURN_IF_ERROR(CheckPairs(labels.shape()[0], "labels", context));
  }
  SPIKESERVE_ASSIGN_OR_RETURN(const auto memory, held.network.TrainStepByteSize(input.shape(), options));
  if (memory.trace_bytes > limits.max_trace_bytes) {
    return OverLimit("input", memory.trace_bytes, "bytes of trace", limits.max_trace_bytes, "--max-trace-bytes");
  }
  SPIKESERVE_RETURN_IF_ERROR(Reserve(held, {memory.bytes}, context));
  SPIKESERVE_ASSIGN_OR_RETURN(const TrainStepResult result,
                              held.network.TrainStep(input.values(), input.shape(), labels.values(), options,
                                                     context.executor, context.wanted));
  Outgoing<v1::TrainStepResponse> response(context.buffers);
  codec::EncodeTrainStepResult(result, &*response);
  return response;
}

}  // namespace spikeserve::server

#include "network/trace.h"

#include <algorithm>
#include <utility>

#include "network/element_loops.h"
#include "network/network_layer.h"
#include "simd/bit_packing.h"
#include "spikeserve/compute/matrix.h"

namespace spikeserve {
namespace {

std::variant<BitMatrix, ScratchFloats> Pack(absl::Span<const float> values, int64_t steps, Executor& executor) {
  const int64_t size = static_cast<int64_t>(values.size()) / steps;
  const Eigen::Map<const RowMatrix<float>> rows(values.data(), steps, size);
  // As bits a step takes whole groups of 64 bytes, which must not be more than its values take.
  if (size * static_cast<int64_t>(sizeof(float)) > BitMatrix::kAlignment) {
    if (std::optional<BitMatrix> bits = BitMatrix::Pack<float>(rows, executor)) return *std::move(bits);
  }
  ScratchFloats floats(values.size());
  CopyElements(values, absl::MakeSpan(floats), executor);
  return floats;
}

}  // namespace

TracedValues::TracedValues(absl::Span<const float> values, int64_t steps, Executor& executor)
    : values_(Pack(values, steps, executor)) {}

void TracedValues::Read(absl::Span<float> values, Executor& executor) const {
  if (const auto* floats = std::get_if<ScratchFloats>(&values_)) {
    CopyElements(*floats, values, executor);
    return;
  }
  const BitMatrix& bits = std::get<BitMatrix>(values_);
  executor.ParallelFor(bits.rows(), kElementGrain / std::max<int64_t>(1, bits.cols()) + 1,
                       [&](int64_t begin, int64_t end) {
                         for (int64_t step = begin; step < end; ++step) {
                           const uint8_t* row = bits.row(step);
                           float* to = values.data() + step * bits.cols();
                           simd::UnpackBits(row, bits.cols(), to);
                         }
                       });
}

int64_t TracedValues::ByteSize() const {
  if (const auto* floats = std::get_if<ScratchFloats>(&values_)) return floats->size() * sizeof(float);
  const BitMatrix& bits = std::get<BitMatrix>(values_);
  return bits.rows() * bits.row_bytes();
}

int64_t TraceBlock::ByteSize() const {
  int64_t bytes = sizeof(*this);
  for (const auto& v : values) bytes += sizeof(v) + (v ? v->ByteSize() : 0);
  for (const auto& k : kept) bytes += sizeof(k) + static_cast<int64_t>(k.size() * sizeof(float));
  return bytes;
}

int64_t Trace::steps() const {
  int64_t steps = 0;
  for (const TraceBlock& block : blocks) steps += block.steps;
  return steps;
}

int64_t Trace::ByteSize() const {
  int64_t bytes = 0;
  for (const TraceBlock& block : blocks) bytes += block.ByteSize();
  return bytes;
}

}  // namespace spikeserve

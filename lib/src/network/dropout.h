// Dropout with one mask from one reset to the next.

#ifndef SPIKESERVE_SRC_NETWORK_DROPOUT_H_
#define SPIKESERVE_SRC_NETWORK_DROPOUT_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "network/network_layer.h"

namespace spikeserve {

// The masks are a function of the seed, of how many masks were drawn before, and of the element's index: the same on
// every platform, and for any executor.
class DropoutLayer final : public NetworkLayer {
 public:
  DropoutLayer(std::string name, const Dropout& spec) : NetworkLayer(std::move(name)), spec_(spec) {}

  absl::Status Check(std::string_view field, KnownShape& shape) const override;
  decltype(LayerSpec::kind) Kind() const override { return spec_; }
  void SetStep(const Shape& input, bool training) override;
  void Prepare(const Shape& input, int64_t steps, int64_t block, bool training, Executor& executor) override;
  int64_t PrepareByteSize(const Shape& input, int64_t steps, int64_t block, bool training) const override;
  void Forward(const ForwardBlock& block, Executor& executor) override;
  void Backward(const BackwardBlock& block, bool is_last, Executor& executor) override;
  void Reset() override { mask_ = std::vector<float>(); }
  std::unique_ptr<LayerMemory> Take() override;
  void Put(std::unique_ptr<LayerMemory> memory) override;
  std::unique_ptr<LayerMemory> Mark() const override;
  LayerState State() const override { return {.mask = mask_, .masks_drawn = masks_drawn_}; }
  int64_t StateByteSize() const override { return static_cast<int64_t>(mask_.size() * sizeof(float)); }
  absl::Status SetState(std::string_view field, const Shape& input, const LayerState& state) override;
  int64_t ByteSize() const override;

 private:
  // What a value that is kept is multiplied by.
  float Scale() const;

  // output[i] = input[i], masked in training.
  void Mask(int64_t steps, absl::Span<const float> input, absl::Span<float> output, Executor& executor) const;

  Dropout spec_;
  // As SetStep has it.
  bool training_ = false;
  uint64_t masks_drawn_ = 0;
  // Of a step's shape, 0 or 1 / (1 - p); empty before the first step in training.
  std::vector<float> mask_;
};

}  // namespace spikeserve

#endif  // SPIKESERVE_SRC_NETWORK_DROPOUT_H_

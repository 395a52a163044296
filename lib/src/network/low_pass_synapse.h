// The low-pass synapse.

#ifndef SPIKESERVE_SRC_NETWORK_LOW_PASS_SYNAPSE_H_
#define SPIKESERVE_SRC_NETWORK_LOW_PASS_SYNAPSE_H_

#include <memory>
#include <string>
#include <vector>

#include "network/network_layer.h"

namespace spikeserve {

class SynapseLayer final : public NetworkLayer {
 public:
  SynapseLayer(std::string name, const LowPassSynapse& spec);

  absl::Status Check(std::string_view field, KnownShape& shape) const override;
  decltype(LayerSpec::kind) Kind() const override { return spec_; }
  void Prepare(const Shape& input, int64_t steps, int64_t block, bool training, Executor& executor) override;
  int64_t PrepareByteSize(const Shape& input, int64_t steps, int64_t block, bool training) const override;
  void Forward(const ForwardBlock& block, Executor& executor) override;
  Needs BackwardNeeds() const override { return {.input = true, .output = true}; }
  // The current before the block.
  int64_t KeptSize(const Shape& input, int64_t steps) const override;
  std::vector<Parameter> Parameters() override;
  void Backward(const BackwardBlock& block, bool is_last, Executor& executor) override;
  void EndBackward() override { adjoint_ = std::vector<float>(); }
  void Reset() override { current_ = std::vector<float>(); }
  std::unique_ptr<LayerMemory> Take() override;
  void Put(std::unique_ptr<LayerMemory> memory) override;
  std::unique_ptr<LayerMemory> Mark() const override;
  LayerState State() const override { return {.current = current_}; }
  int64_t StateByteSize() const override { return static_cast<int64_t>(current_.size() * sizeof(float)); }
  absl::Status SetState(std::string_view field, const Shape& input, const LayerState& state) override;
  int64_t ByteSize() const override;

 private:
  LowPassSynapse spec_;
  // Of a step's shape; empty before the first step.
  std::vector<float> current_;
  // The gradient with respect to the current after the steps that Backward has not gone through yet.
  std::vector<float> adjoint_;
};

}  // namespace spikeserve

#endif  // SPIKESERVE_SRC_NETWORK_LOW_PASS_SYNAPSE_H_

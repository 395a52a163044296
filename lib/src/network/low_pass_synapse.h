// The low-pass synapse.

#ifndef SPIKESERVE_SRC_NETWORK_LOW_PASS_SYNAPSE_H_
#define SPIKESERVE_SRC_NETWORK_LOW_PASS_SYNAPSE_H_

#include <string>
#include <vector>

#include "network/network_layer.h"

namespace spikeserve {

class SynapseLayer final : public NetworkLayer {
 public:
  SynapseLayer(std::string name, const LowPassSynapse& spec) : NetworkLayer(std::move(name)), spec_(spec) {}

  absl::Status Check(std::string_view field, std::optional<int64_t>& features) const override;
  decltype(LayerSpec::kind) Kind() const override { return spec_; }
  void Prepare(const Shape& input, int64_t steps, bool training) override;
  int64_t PrepareByteSize(const Shape& input, int64_t steps, bool training) const override;
  void Step(absl::Span<const float> input, absl::Span<float> output, Executor& executor) override;
  void Reset() override { current_ = std::vector<float>(); }
  std::unique_ptr<LayerMemory> Take() override;
  void Put(std::unique_ptr<LayerMemory> memory) override;
  int64_t ByteSize() const override;

 private:
  struct Memory;

  LowPassSynapse spec_;
  // Of a step's shape; empty before the first step.
  std::vector<float> current_;
};

}  // namespace spikeserve

#endif  // SPIKESERVE_SRC_NETWORK_LOW_PASS_SYNAPSE_H_

// The spiking layers: the four neurons, which differ in how they charge.

#ifndef SPIKESERVE_SRC_NETWORK_NEURON_H_
#define SPIKESERVE_SRC_NETWORK_NEURON_H_

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "network/network_layer.h"
#include "spikeserve/compute/network.h"

namespace spikeserve {

// What the neurons share: thresholds, voltages, monitor.
class SpikingLayer : public NetworkLayer {
 public:
  using NetworkLayer::NetworkLayer;

  virtual void set_v_threshold(std::variant<float, ThresholdTensor> v_threshold) = 0;

  // The voltages of the last step, before and after the reset, of the step's shape.
  absl::Span<const float> v_before_reset() const { return v_before_reset_; }
  absl::Span<const float> v_after_reset() const { return v_; }

  // Whether there is a monitor, and its record of all steps since the last reset: spikes and v_before_reset.
  bool monitored() const { return neuron().monitor; }
  LayerRecord Monitor() const;

  absl::Status Check(std::string_view field, std::optional<int64_t>& features) const override;
  absl::StatusOr<Shape> OutputShape(const Shape& input) const override;
  void Prepare(const Shape& input, int64_t steps, bool training) override;
  int64_t PrepareByteSize(const Shape& input, int64_t steps, bool training) const override;
  void Reset() override;
  std::unique_ptr<LayerMemory> Take() override;
  void Put(std::unique_ptr<LayerMemory> memory) override;
  int64_t ByteSize() const override;
  SpikingLayer* spiking() override { return this; }

 protected:
  virtual const NeuronSpec& neuron() const = 0;

  // Adds a step to the monitor's record.
  void Watch(absl::Span<const float> spikes);

  // Of a step's shape; empty before the first step.
  std::vector<float> v_;
  std::vector<float> v_before_reset_;

 private:
  // The monitor's record of one Forward. One piece for each, so that nothing recorded is ever moved, and each takes
  // exactly the memory it needs.
  struct Piece {
    std::vector<uint8_t> spikes;
    std::vector<float> v_before_reset;
  };
  struct Memory;
  std::deque<Piece> monitor_;
  // [T, batch, features ...] of the monitor's record.
  Shape monitor_shape_ = {0};
};

// The layer of Node: an IfNode, LifNode, PlifNode or RifNode.
template <typename Node>
std::unique_ptr<SpikingLayer> MakeNeuron(std::string name, Node node);

}  // namespace spikeserve

#endif  // SPIKESERVE_SRC_NETWORK_NEURON_H_

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
#include "scratch.h"
#include "spikeserve/compute/network.h"

namespace spikeserve {

// A monitor's record of one Forward. One piece for each, so that nothing recorded is ever moved, and each takes exactly
// the memory it needs.
struct MonitorPiece {
  std::vector<uint8_t> spikes;
  std::vector<float> v_before_reset;
};

// What the neurons share: thresholds, voltages, monitor.
class SpikingLayer : public NetworkLayer {
 public:
  using NetworkLayer::NetworkLayer;

  virtual void set_v_threshold(std::variant<float, ThresholdTensor> v_threshold) = 0;
  const std::variant<float, ThresholdTensor>& v_threshold() const { return neuron().v_threshold; }

  // Asks for the voltages of the blocks of the next Forward, before Prepare; EndForward ends that.
  void RecordVoltages(bool before_reset, bool after_reset) {
    records_v_before_reset_ |= before_reset;
    records_v_after_reset_ |= after_reset;
  }
  void EndForward();
  // The voltages of the last block, if they were asked for.
  absl::Span<const float> v_before_reset() const { return v_before_reset_; }
  absl::Span<const float> v_after_reset() const { return v_after_reset_; }

  // Whether there is a monitor, and its record of all steps since the last reset: spikes and v_before_reset.
  bool monitored() const { return neuron().monitor; }
  LayerRecord Monitor() const;
  int64_t MonitorByteSize() const;

  absl::Status Check(std::string_view field, KnownShape& shape) const override;
  absl::StatusOr<Shape> OutputShape(const Shape& input) const override;
  void Prepare(const Shape& input, int64_t steps, int64_t block, bool training, Executor& executor) override;
  int64_t PrepareByteSize(const Shape& input, int64_t steps, int64_t block, bool training) const override;
  void Reset() override;
  std::unique_ptr<LayerMemory> Take() override;
  void Put(std::unique_ptr<LayerMemory> memory) override;
  std::unique_ptr<LayerMemory> Mark() const override;
  void Rewind(std::unique_ptr<LayerMemory> mark) override;
  LayerState State() const override;
  int64_t StateByteSize() const override { return static_cast<int64_t>(v_.size() * sizeof(float)); }
  absl::Status SetState(std::string_view field, const Shape& input, const LayerState& state) override;
  int64_t ByteSize() const override;
  SpikingLayer* spiking() override { return this; }

 protected:
  virtual const NeuronSpec& neuron() const = 0;

  // Says where the block's voltages go: to what is kept of it for Backward, or to a buffer.
  void UseBlock(const ForwardBlock& block);
  // Adds a block to the monitor's record.
  void Watch(absl::Span<const float> spikes, Executor& executor);

  // Of a step's shape; empty before the first step.
  std::vector<float> v_;
  // Of a block's shape; empty where nobody wants them.
  absl::Span<float> v_before_reset_;
  absl::Span<float> v_after_reset_;

 private:
  bool keeps_v_before_reset() const { return records_v_before_reset_ || monitored(); }

  bool records_v_before_reset_ = false;
  bool records_v_after_reset_ = false;
  ScratchFloats block_v_before_reset_;
  ScratchFloats block_v_after_reset_;
  std::deque<MonitorPiece> monitor_;
  // [T, batch, features ...] of the monitor's record.
  Shape monitor_shape_ = {0};
};

// The layer of Node: an IfNode, LifNode, PlifNode or RifNode.
template <typename Node>
std::unique_ptr<SpikingLayer> MakeNeuron(std::string name, Node node);

}  // namespace spikeserve

#endif  // SPIKESERVE_SRC_NETWORK_NEURON_H_

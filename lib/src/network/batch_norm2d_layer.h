// Batch normalisation of planes.

#ifndef SPIKESERVE_SRC_NETWORK_BATCH_NORM2D_LAYER_H_
#define SPIKESERVE_SRC_NETWORK_BATCH_NORM2D_LAYER_H_

#include <memory>
#include <string>
#include <vector>

#include "network/network_layer.h"
#include "stop_check.h"

namespace spikeserve {

// Keeps of a step the mean and 1 / sqrt(variance + eps) of each channel, by which it was normalised.
class BatchNorm2dLayer final : public NetworkLayer {
 public:
  BatchNorm2dLayer(std::string name, BatchNorm2d spec);

  absl::Status Check(std::string_view field, KnownShape& shape) const override;
  decltype(LayerSpec::kind) Kind() const override { return spec_; }
  absl::StatusOr<Shape> OutputShape(const Shape& input) const override;
  absl::Status CheckTraining(const Shape& input) const override;
  void SetStep(const Shape& input, bool training) override;
  void Prepare(const Shape& input, int64_t steps, int64_t block, bool training, Executor& executor) override;
  int64_t PrepareByteSize(const Shape& input, int64_t steps, int64_t block, bool training) const override;
  void Forward(const ForwardBlock& block, Executor& executor) override;
  Needs BackwardNeeds() const override { return {.input = true}; }
  int64_t KeptSize(const Shape& input, int64_t steps) const override;
  std::vector<Parameter> Parameters() override;
  void Backward(const BackwardBlock& block, bool is_last, Executor& executor) override;
  // The running statistics, which stay in the layer, too.
  std::unique_ptr<LayerMemory> Take() override { return Mark(); }
  void Put(std::unique_ptr<LayerMemory> memory) override;
  std::unique_ptr<LayerMemory> Mark() const override;
  int64_t ByteSize() const override;

 private:
  // Of one step and channel.
  struct Statistics {
    float mean;
    float inverse_deviation;
    // Unbiased.
    double variance;
  };

  int64_t channels() const { return spec_.num_features; }
  // The elements of a channel in a step.
  int64_t channel_elements() const { return batch_ * plane_; }
  // The first element of a step's channel; those of the next sample are channels() planes further.
  int64_t Begin(int64_t step, int64_t channel) const { return (step * batch_ * channels() + channel) * plane_; }
  Statistics Measure(const float* input, StopCheck& stop) const;
  void MoveRunningStatistics(int64_t channel, const Statistics& step);

  // With all vectors of their size, if num_features is in its range.
  BatchNorm2d spec_;
  // As SetStep has it.
  bool training_ = false;
  int64_t batch_ = 0;
  int64_t plane_ = 0;
  // Of a block's steps and channels.
  std::vector<Statistics> statistics_;
};

}  // namespace spikeserve

#endif  // SPIKESERVE_SRC_NETWORK_BATCH_NORM2D_LAYER_H_

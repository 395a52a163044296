// The arguments and results of the functions. What each computes is told with the compute library's function of the
// same name (spikeserve/compute/), which has the same fields; errors are those of the service (proto/spikeserve/v1).
//
// Arguments refer to the caller's memory (TensorView). A call that waits sends them from there, without a copy; an
// asynchronous one copies them before it returns. A 0/1 tensor may be of any dtype.

#ifndef SPIKESERVE_CLIENT_FUNCTIONS_H_
#define SPIKESERVE_CLIENT_FUNCTIONS_H_

#include <cstdint>
#include <optional>

#include "spikeserve/compute/data_type.h"
#include "spikeserve/compute/kernel.h"
#include "spikeserve/compute/spike_cluster.h"
#include "spikeserve/compute/spike_similar_loss.h"
#include "spikeserve/compute/tensor.h"
#include "spikeserve/compute/threshold_margin.h"

namespace spikeserve {

struct SpikeClusterResult {
  // FLOAT32 [N].
  Tensor n_o;
  // Masks [T, N], or with index_output INT32 [N], the step or -1.
  Tensor k_positive;
  Tensor k_negative;
};

struct SpikeClusterArgs {
  using Result = SpikeClusterResult;
  // FLOAT32 or FLOAT64 [T, N].
  TensorView v;
  // One element or [N].
  TensorView v_threshold;
  SpikeClusterOptions options = {};
  // kBool or kBit.
  DataType mask_dtype = DataType::kBool;
  bool index_output = false;
};

struct KernelDotProductArgs {
  // [N, K], FLOAT64 where x or y is, else FLOAT32.
  using Result = Tensor;
  // [N, M].
  TensorView x;
  // [K, M]; nullopt: x.
  std::optional<TensorView> y = std::nullopt;
  Kernel kernel;
};

struct KernelDotProductVjpResult {
  // [N, M], FLOAT64 where x, y or grad_output is, else FLOAT32.
  Tensor grad_x;
  // [K, M]; absent where y is: then grad_x is the gradient of both places of x.
  std::optional<Tensor> grad_y;
};

struct KernelDotProductVjpArgs {
  using Result = KernelDotProductVjpResult;
  // [N, M].
  TensorView x;
  // [K, M]; nullopt: x.
  std::optional<TensorView> y = std::nullopt;
  Kernel kernel;
  // [N, K].
  TensorView grad_output;
};

struct SpikeSimilarLossResult {
  float loss;
  // With compute_gradient: of the shape of spikes.
  std::optional<Tensor> grad_spikes;
};

struct SpikeSimilarLossArgs {
  using Result = SpikeSimilarLossResult;
  // [N, ...].
  TensorView spikes;
  // [N, C] of 0/1.
  TensorView labels;
  Kernel kernel;
  LossType loss_type = LossType::kMse;
  bool compute_gradient = false;
};

struct RedundantOneHotArgs {
  // [B, num_classes * n].
  using Result = Tensor;
  // UINT8, INT32 or INT64 [B].
  TensorView labels;
  int64_t num_classes = 0;
  int64_t n = 1;
  // kFloat32, kBool or kBit.
  DataType mask_dtype = DataType::kFloat32;
};

struct FirstSpikeIndexArgs {
  // A mask of the shape of spikes, or with index_output INT32 [*], the step or -1.
  using Result = Tensor;
  // [*, T] of 0/1.
  TensorView spikes;
  // kBool or kBit.
  DataType mask_dtype = DataType::kBool;
  bool index_output = false;
};

struct ThresholdMarginArgs {
  // FLOAT32: in training of the shape of label_one_hot, else a scalar.
  using Result = Tensor;
  TensorView label_one_hot;
  bool training = false;
  ThresholdMarginOptions options = {};
};

struct StcaLossOutput {
  float loss;
  // FLOAT32 [N].
  Tensor n_o;
  // With compute_gradient: of the shape of v.
  std::optional<Tensor> grad_v;
};

struct StcaLossArgs {
  using Result = StcaLossOutput;
  // FLOAT32 or FLOAT64 [T, N].
  TensorView v;
  // One element or [N].
  TensorView v_threshold;
  int64_t t_in = 1;
  // One element or [N].
  TensorView n_d;
  bool compute_gradient = false;
};

}  // namespace spikeserve

#endif  // SPIKESERVE_CLIENT_FUNCTIONS_H_

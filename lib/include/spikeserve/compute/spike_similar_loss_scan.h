// The similarity loss of spikes that come in pieces of features.

#ifndef SPIKESERVE_COMPUTE_SPIKE_SIMILAR_LOSS_SCAN_H_
#define SPIKESERVE_COMPUTE_SPIKE_SIMILAR_LOSS_SCAN_H_

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "spikeserve/compute/bit_matrix.h"
#include "spikeserve/compute/executor.h"
#include "spikeserve/compute/kernel.h"
#include "spikeserve/compute/matrix.h"
#include "spikeserve/compute/spike_similar_loss.h"

namespace spikeserve {

// Finds what SpikeSimilarLoss finds, from the columns of spikes in pieces of any sizes: the products of all pairs of
// samples are sums over the features. The gradient is computed from the same pieces when they come again. Products are
// summed in double; of 0/1 spikes they are exact, as SpikeSimilarLoss's.
//
// Movable. Calls on one object may not overlap.
class SpikeSimilarLossScan {
 public:
  // A scan that has seen no features of labels.rows() samples. `labels` [N, C] of 0/1 is copied.
  // Errors: INVALID_ARGUMENT for N = 0, labels other than 0 and 1, and those of CheckKernel.
  static absl::StatusOr<SpikeSimilarLossScan> Create(MatrixView<uint8_t> labels, const Kernel& kernel,
                                                     LossType loss_type, Executor& executor = InlineExecutor());

  // Takes the next features, [N, any number], and keeps no view of them.
  // Errors: INVALID_ARGUMENT (field spikes) for another number of rows.
  absl::Status Add(MatrixView<double> features, Executor& executor = InlineExecutor());
  absl::Status Add(const BitMatrixView& features, Executor& executor = InlineExecutor());

  // The loss of all features. Called once; no features may be added afterwards.
  // Errors: those of SpikeSimilarLoss for similarities.
  absl::StatusOr<double> Finish(Executor& executor = InlineExecutor());

  // Writes the gradient with respect to some features, of their shape. After Finish; the pieces may be others than
  // those that were added.
  // Errors: INVALID_ARGUMENT for another number of rows, or grad_features of another shape.
  absl::Status Gradient(MatrixView<double> features, MutableMatrixView<double> grad_features,
                        Executor& executor = InlineExecutor()) const;

  int64_t samples() const { return samples_; }
  int64_t classes() const { return labels_.cols(); }

  // About the bytes that a scan of so many samples and classes takes at most; 2^63 - 1 where they are more than fit
  // into 64 bits.
  static int64_t ByteSize(int64_t samples, int64_t classes);

 private:
  SpikeSimilarLossScan(BitMatrix labels, const Kernel& kernel, LossType loss_type, Executor& executor);

  template <typename Features>
  absl::Status AddProducts(const Features& features, Executor& executor);

  int64_t samples_;
  BitMatrix labels_;
  Kernel kernel_;
  LossType loss_type_;
  // [N, N]. The products of the samples; after Finish, row i holds the factors of the samples in the gradient of sample
  // i.
  RowMatrix<double> pairs_;
};

}  // namespace spikeserve

#endif  // SPIKESERVE_COMPUTE_SPIKE_SIMILAR_LOSS_SCAN_H_

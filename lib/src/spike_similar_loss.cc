#include "spikeserve/compute/spike_similar_loss.h"

#include <optional>

#include "absl/strings/str_cat.h"
#include "bit_kernel.h"
#include "dense_kernel.h"
#include "not_zero_or_one.h"
#include "similar_loss/bit_pairs.h"
#include "similar_loss/dense_pairs.h"
#include "similar_loss/evaluation.h"
#include "spikeserve/compute/field_error.h"
#include "spikeserve/compute/shape.h"
#include "stop_check.h"

namespace spikeserve {
namespace {

// The labels, if they and the shapes are right; `spikes` is a matrix of any kind.
template <class Spikes, typename Scalar>
absl::StatusOr<BitMatrix> Check(const Spikes& spikes, const MatrixView<uint8_t>& labels, const Kernel& kernel,
                                const std::optional<MutableMatrixView<Scalar>>& grad_spikes, Executor& executor) {
  if (absl::Status status = CheckKernel(kernel); !status.ok()) return status;
  if (spikes.rows() == 0) return InvalidField("spikes", "0 samples", "at least 1, as the loss is a mean");
  if (labels.rows() != spikes.rows()) {
    return InvalidField("labels", ShapeString({labels.rows(), labels.cols()}),
                        absl::StrCat(spikes.rows(), " rows, one for each sample of spikes"));
  }
  if (grad_spikes && (grad_spikes->rows() != spikes.rows() || grad_spikes->cols() != spikes.cols())) {
    return InvalidField("grad_spikes", ShapeString({grad_spikes->rows(), grad_spikes->cols()}),
                        absl::StrCat("the shape of spikes, ", ShapeString({spikes.rows(), spikes.cols()})));
  }
  std::optional<BitMatrix> bits = BitMatrix::Pack<uint8_t>(labels, executor);
  if (bits) return *std::move(bits);
  const auto other = FindOther(labels, executor);
  if (!other) return NotWanted();
  const auto [i, c] = *other;
  return InvalidField("labels", absl::StrCat("labels[", i, "][", c, "] is ", labels(i, c)), "only 0 and 1");
}

template <class Pairs, class Spikes, typename Scalar>
absl::StatusOr<double> Evaluate(const Spikes& spikes, const BitMatrix& labels, const Kernel& kernel, LossType loss_type,
                                std::optional<MutableMatrixView<Scalar>>& grad_spikes, Executor& executor) {
  const Pairs pairs(spikes, kernel, loss_type, grad_spikes.has_value(), executor);
  return SimilarLossEvaluation<Pairs, Scalar>(pairs, loss_type, labels, grad_spikes ? &*grad_spikes : nullptr, executor)
      .Run();
}

template <typename Scalar>
absl::StatusOr<double> EvaluateBits(const BitMatrixView& spikes, const BitMatrix& labels, const Kernel& kernel,
                                    LossType loss_type, std::optional<MutableMatrixView<Scalar>>& grad_spikes,
                                    Executor& executor) {
  if (InDouble<Scalar>(spikes.rows(), spikes.rows(), spikes.cols())) {
    return Evaluate<BitPairs<double>>(spikes, labels, kernel, loss_type, grad_spikes, executor);
  }
  return Evaluate<BitPairs<Scalar>>(spikes, labels, kernel, loss_type, grad_spikes, executor);
}

}  // namespace

template <typename Scalar>
absl::StatusOr<double> SpikeSimilarLoss(const BitMatrixView& spikes, MatrixView<uint8_t> labels, const Kernel& kernel,
                                        LossType loss_type, std::optional<MutableMatrixView<Scalar>> grad_spikes,
                                        Executor& executor) {
  const absl::StatusOr<BitMatrix> label_bits = Check(spikes, labels, kernel, grad_spikes, executor);
  if (!label_bits.ok()) return label_bits.status();
  if (spikes.cols() > kMaxBitColumns) {
    return InvalidField("spikes", absl::StrCat(spikes.cols(), " columns of bits"),
                        absl::StrCat("at most ", kMaxBitColumns));
  }
  return EvaluateBits<Scalar>(spikes, *label_bits, kernel, loss_type, grad_spikes, executor);
}

template <typename Scalar>
absl::StatusOr<double> SpikeSimilarLoss(MatrixView<Scalar> spikes, MatrixView<uint8_t> labels, const Kernel& kernel,
                                        LossType loss_type, std::optional<MutableMatrixView<Scalar>> grad_spikes,
                                        Executor& executor) {
  const absl::StatusOr<BitMatrix> label_bits = Check(spikes, labels, kernel, grad_spikes, executor);
  if (!label_bits.ok()) return label_bits.status();
  if (spikes.cols() <= kMaxBitColumns) {
    if (const std::optional<BitMatrix> bits = BitMatrix::Pack<Scalar>(spikes, executor)) {
      return EvaluateBits<Scalar>(*bits, *label_bits, kernel, loss_type, grad_spikes, executor);
    }
  }
  if (InDouble<Scalar>(spikes.rows(), spikes.rows(), spikes.cols())) {
    return Evaluate<DensePairs<double, Scalar>>(spikes, *label_bits, kernel, loss_type, grad_spikes, executor);
  }
  return Evaluate<DensePairs<Scalar, Scalar>>(spikes, *label_bits, kernel, loss_type, grad_spikes, executor);
}

template absl::StatusOr<double> SpikeSimilarLoss(const BitMatrixView&, MatrixView<uint8_t>, const Kernel&, LossType,
                                                 std::optional<MutableMatrixView<float>>, Executor&);
template absl::StatusOr<double> SpikeSimilarLoss(const BitMatrixView&, MatrixView<uint8_t>, const Kernel&, LossType,
                                                 std::optional<MutableMatrixView<double>>, Executor&);
template absl::StatusOr<double> SpikeSimilarLoss(MatrixView<float>, MatrixView<uint8_t>, const Kernel&, LossType,
                                                 std::optional<MutableMatrixView<float>>, Executor&);
template absl::StatusOr<double> SpikeSimilarLoss(MatrixView<double>, MatrixView<uint8_t>, const Kernel&, LossType,
                                                 std::optional<MutableMatrixView<double>>, Executor&);

}  // namespace spikeserve

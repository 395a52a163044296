#include "spikeserve/compute/spike_similar_loss_scan.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "simd/transpose.h"
#include "similar_loss/pair_loss.h"
#include "spikeserve/compute/field_error.h"
#include "spikeserve/compute/shape.h"
#include "stop_check.h"
#include "tile_grid.h"
#include "zero_fill.h"

namespace spikeserve {
namespace {

// Whether two rows of bits have a one in common.
bool Share(const BitMatrix& bits, int64_t i, int64_t j) {
  const uint8_t* x = bits.row(i);
  const uint8_t* y = bits.row(j);
  uint8_t common = 0;
  for (int64_t b = 0; b < bits.row_bytes(); ++b) common |= x[b] & y[b];
  return common != 0;
}

absl::Status WrongRows(int64_t rows, int64_t samples) {
  return InvalidField("spikes", absl::StrCat(rows, " samples"), absl::StrCat(samples, ", as labels has"));
}

}  // namespace

SpikeSimilarLossScan::SpikeSimilarLossScan(BitMatrix labels, const Kernel& kernel, LossType loss_type,
                                           Executor& executor)
    : samples_(labels.rows()),
      labels_(std::move(labels)),
      kernel_(kernel),
      loss_type_(loss_type),
      pairs_(samples_, samples_) {
  ZeroFill(pairs_.data(), pairs_.size() * static_cast<int64_t>(sizeof(double)), executor);
}

absl::StatusOr<SpikeSimilarLossScan> SpikeSimilarLossScan::Create(MatrixView<uint8_t> labels, const Kernel& kernel,
                                                                  LossType loss_type, Executor& executor) {
  if (absl::Status status = CheckKernel(kernel); !status.ok()) return status;
  if (labels.rows() == 0) return InvalidField("labels", "0 samples", "at least 1, as the loss is a mean");
  std::optional<BitMatrix> bits = BitMatrix::Pack<uint8_t>(labels, executor);
  if (!bits) return InvalidField("labels", "elements other than 0 and 1", "only 0 and 1");
  SpikeSimilarLossScan scan(*std::move(bits), kernel, loss_type, executor);
  if (executor.Stopped()) return NotWanted();
  return scan;
}

int64_t SpikeSimilarLossScan::ByteSize(int64_t samples, int64_t classes) {
  constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
  // The products, and those of a piece; and the labels.
  const int64_t products = ElementCount({samples, samples, 2, int64_t{sizeof(double)}}).value_or(kMost);
  const int64_t labels = ByteCount(DataType::kBit, {samples, classes}).value_or(kMost);
  return labels > kMost - products ? kMost : products + labels;
}

template <typename Features>
absl::Status SpikeSimilarLossScan::AddProducts(const Features& features, Executor& executor) {
  if (features.rows() != samples_) return WrongRows(features.rows(), samples_);
  RowMatrix<double> products(samples_, samples_);
  if (absl::Status status = KernelDotProduct<double>(features, features, LinearKernel{}, products, executor);
      !status.ok()) {
    return status;
  }
  executor.ParallelFor(samples_, Grain(static_cast<double>(samples_)), [&](int64_t begin, int64_t end) {
    pairs_.middleRows(begin, end - begin) += products.middleRows(begin, end - begin);
  });
  return absl::OkStatus();
}

absl::Status SpikeSimilarLossScan::Add(MatrixView<double> features, Executor& executor) {
  return AddProducts(features, executor);
}

absl::Status SpikeSimilarLossScan::Add(const BitMatrixView& features, Executor& executor) {
  return AddProducts(features, executor);
}

absl::StatusOr<double> SpikeSimilarLossScan::Finish(Executor& executor) {
  constexpr double kPairCost = 100;
  // Of four bytes of both labels.
  constexpr double kLabelCost = 1;
  constexpr int64_t kMax = PairTerms::kMax;
  const bool linear = std::holds_alternative<LinearKernel>(kernel_);
  const bool gaussian = std::holds_alternative<GaussianKernel>(kernel_);
  const std::vector<double> squares(pairs_.diagonal().begin(), pairs_.diagonal().end());
  std::vector<double> norms(squares.size());
  std::transform(squares.begin(), squares.end(), norms.begin(), [](double square) { return std::sqrt(square); });
  // Twice: for the pair (j, i), too.
  const double scale = 2 / (static_cast<double>(samples_) * static_cast<double>(samples_));

  // A row of pairs is the work of one thread, and its sums are in order: nothing depends on the threads.
  std::vector<double> losses(squares.size());
  std::vector<absl::Status> errors(squares.size());
  const double pair_cost = kPairCost + kLabelCost * static_cast<double>(labels_.row_bytes()) / 4;
  executor.ParallelFor(samples_, Grain(pair_cost * static_cast<double>(samples_)), [&](int64_t begin, int64_t end) {
    PairTerms terms;
    int32_t shared[kMax];
    StopCheck stop(executor);
    for (int64_t j = begin; j < end; ++j) {
      double* row = pairs_.row(j).data();
      double self = 0;
      for (int64_t first = 0; first < samples_; first += kMax) {
        const int64_t count = std::min(kMax, samples_ - first);
        if (stop.After(pair_cost * static_cast<double>(count))) return;
        for (int64_t i = 0; i < count; ++i) {
          shared[i] = Share(labels_, j, first + i) ? 1 : 0;
          if (!gaussian) continue;
          row[first + i] = std::max(0.0, squares[j] + squares[first + i] - 2 * row[first + i]);
        }
        EvaluatePairs(kernel_, loss_type_, row + first, shared, norms.data() + first, norms[j], count,
                      /*gradient=*/true, terms);
        for (int64_t i = 0; i < count; ++i) {
          losses[j] += terms.loss[i];
          if (first + i >= j && errors[j].ok() && IsOutside(loss_type_, terms.similarity[i])) {
            errors[j] = OutsideError(j, first + i, terms.similarity[i]);
          }
          // terms.other is symmetric: the factor of x_i in the gradient of x_j, too. terms.self is x_i's own factor;
          // x_j's differs from it for the linear kernel, whose similarity falls with both norms.
          row[first + i] = scale * terms.other[i];
          self += terms.self[i] * (!linear ? 1 : squares[j] > 0 ? squares[first + i] / squares[j] : 0);
        }
      }
      row[j] += scale * self;
    }
  });
  for (const absl::Status& error : errors) {
    if (!error.ok()) return error;
  }
  double sum = 0;
  for (const double loss : losses) sum += loss;
  return sum / (static_cast<double>(samples_) * static_cast<double>(samples_));
}

absl::Status SpikeSimilarLossScan::Gradient(MatrixView<double> features, MutableMatrixView<double> grad_features,
                                            Executor& executor) const {
  if (features.rows() != samples_) return WrongRows(features.rows(), samples_);
  if (grad_features.rows() != features.rows() || grad_features.cols() != features.cols()) {
    return InvalidField("grad_spikes", ShapeString({grad_features.rows(), grad_features.cols()}),
                        absl::StrCat("the shape of spikes, ", ShapeString({features.rows(), features.cols()})));
  }
  // The multiplications of floats that take as long as to copy an element.
  constexpr double kCopyCost = 60;
  RowMatrix<double> columns(features.cols(), samples_);
  const double cost = kCopyCost * static_cast<double>(samples_);
  executor.ParallelFor(features.cols(), Grain(cost), [&](int64_t begin, int64_t end) {
    simd::Transpose(features.data() + begin, features.outerStride(), samples_, end - begin,
                    static_cast<const double*>(nullptr), columns.data() + begin * samples_, samples_);
  });
  return KernelDotProduct<double>(pairs_, columns, LinearKernel{}, grad_features, executor);
}

}  // namespace spikeserve

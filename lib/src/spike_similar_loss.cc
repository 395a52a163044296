#include "spikeserve/compute/spike_similar_loss.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "absl/strings/str_cat.h"
#include "kernel_tiles.h"
#include "spikeserve/compute/field_error.h"
#include "spikeserve/compute/shape.h"

namespace spikeserve {
namespace {

// A loss between similarity p and the wanted one q, and its derivative with respect to p.
struct LossFunction {
  double (*value)(double p, double q);
  double (*slope)(double p, double q);
};

double ClampedLog(double x) { return std::max(std::log(x), -100.0); }

// In the order of LossType.
constexpr LossFunction kLossFunctions[] = {
    {[](double p, double q) { return (p - q) * (p - q); }, [](double p, double q) { return 2 * (p - q); }},
    {[](double p, double q) { return std::abs(p - q); },
     [](double p, double q) { return static_cast<double>(p > q) - static_cast<double>(p < q); }},
    {[](double p, double q) { return -(q * ClampedLog(p) + (1 - q) * ClampedLog(1 - p)); },
     // The lower bound is PyTorch's.
     [](double p, double q) { return (p - q) / std::max(p * (1 - p), 1e-12); }},
};

// The rounding that kBce takes for a similarity in [0, 1].
constexpr double kRounding = 1e-5;

// The similarity p of samples x and y, and its gradient with respect to x: self * x + other * y.
struct Similarity {
  double p;
  double self;
  double other;
};

// `norm_x` and `norm_y` are |x| and |y|, known for the linear kernel only.
Similarity SimilarityOf(const LinearKernel&, double product, double norm_x, double norm_y) {
  const double scale = norm_x * norm_y + 1e-8;
  const double p = product / scale;
  return {p, norm_x > 0 ? -p * norm_y / (scale * norm_x) : 0, 1 / scale};
}

Similarity SimilarityOf(const PolynomialKernel& kernel, double product, double /*norm_x*/, double /*norm_y*/) {
  return {KernelValue(kernel, product), 0, kernel.d == 0 ? 0 : kernel.d * std::pow(product, kernel.d - 1)};
}

Similarity SimilarityOf(const SigmoidKernel& kernel, double product, double /*norm_x*/, double /*norm_y*/) {
  const double p = KernelValue(kernel, product);
  return {p, 0, kernel.alpha * p * (1 - p)};
}

Similarity SimilarityOf(const GaussianKernel& kernel, double distance2, double /*norm_x*/, double /*norm_y*/) {
  const double p = KernelValue(kernel, distance2);
  const double pull = distance2 == 0 ? 0 : p / kernel.sigma / kernel.sigma;
  return {p, -pull, pull};
}

// The labels of each sample as a set of bits.
class LabelSets {
 public:
  explicit LabelSets(const MatrixView<uint8_t>& labels)
      : words_((labels.cols() + 63) / 64), bits_(static_cast<size_t>(labels.rows() * words_)) {
    for (Eigen::Index i = 0; i < labels.rows(); ++i) {
      for (Eigen::Index c = 0; c < labels.cols(); ++c) bits_[i * words_ + c / 64] |= uint64_t{labels(i, c)} << (c % 64);
    }
  }

  // min(1, labels_i . labels_j)
  double Share(int64_t i, int64_t j) const {
    for (int64_t w = 0; w < words_; ++w) {
      if (bits_[i * words_ + w] & bits_[j * words_ + w]) return 1;
    }
    return 0;
  }

 private:
  int64_t words_;
  std::vector<uint64_t> bits_;
};

// A similarity for which the loss is not defined; j < 0: none.
struct Outside {
  int64_t i = -1;
  int64_t j = -1;
  double p = 0;
};

// One evaluation of the loss; a tile of samples is a row of tiles of pairs.
template <typename Scalar>
class Evaluation {
 public:
  using Tiles = KernelTiles<Scalar>;

  Evaluation(const MatrixView<Scalar>& spikes, const MatrixView<uint8_t>& labels, const Kernel& kernel,
             LossType loss_type, MutableMatrixView<Scalar>* grad_spikes)
      : samples_(spikes.rows()),
        spikes_(spikes),
        labels_(labels),
        kernel_(kernel),
        loss_type_(loss_type),
        grad_spikes_(grad_spikes),
        tiles_(spikes, spikes, kernel),
        norms_(Eigen::VectorXd::Zero(samples_)),
        row_losses_(Eigen::VectorXd::Zero(samples_)),
        outside_(static_cast<size_t>(Tiles::Count(samples_))) {
    if (std::holds_alternative<LinearKernel>(kernel)) norms_ = SquaredNorms<Scalar>(spikes).cwiseSqrt();
  }

  absl::StatusOr<double> Run(Executor& executor) {
    executor.ParallelFor(Tiles::Count(samples_), 1, [&](int64_t begin, int64_t end) {
      typename Tiles::Scratch scratch;
      // The gradient is gradients * spikes; a row for each sample of the tile.
      RowMatrix<double> gradients;
      if (grad_spikes_ != nullptr) gradients.resize(Tiles::kRows, samples_);
      for (int64_t tile = begin; tile < end; ++tile) {
        std::visit([&](const auto& kind) { SampleTile(kind, tile * Tiles::kRows, scratch, gradients); }, kernel_);
        if (grad_spikes_ != nullptr) WriteGradient(tile * Tiles::kRows, scratch, gradients);
      }
    });
    for (const Outside& outside : outside_) {
      if (outside.j < 0) continue;
      return InvalidField("loss_type",
                          absl::StrCat("binary cross entropy with a similarity of ", outside.p, " of samples ",
                                       outside.i, " and ", outside.j),
                          "similarities in [0, 1]");
    }
    double sum = 0;
    for (const double loss : row_losses_) sum += loss;
    return sum / pairs();
  }

 private:
  double pairs() const { return static_cast<double>(samples_) * static_cast<double>(samples_); }

  template <typename Kind>
  void SampleTile(const Kind& kind, int64_t i, typename Tiles::Scratch& scratch, RowMatrix<double>& gradients) {
    if (grad_spikes_ != nullptr) gradients.setZero();
    // The loss is symmetric: pairs above the diagonal count twice, those below only for the gradient.
    for (int64_t j = grad_spikes_ != nullptr ? 0 : i; j < samples_; j += Tiles::kRows) {
      const auto tile = tiles_.Tile(i, j, scratch);
      const double count = j < i ? 0 : j == i ? 1 : 2;
      for (Eigen::Index r = 0; r < tile.rows(); ++r) {
        for (Eigen::Index c = 0; c < tile.cols(); ++c) {
          Pair(SimilarityOf(kind, tile(r, c), norms_[i + r], norms_[j + c]), i + r, j + c, count, gradients);
        }
      }
    }
  }

  void Pair(Similarity similarity, int64_t i, int64_t j, double count, RowMatrix<double>& gradients) {
    const LossFunction& loss = kLossFunctions[static_cast<int>(loss_type_)];
    if (loss_type_ == LossType::kBce) {
      const double p = std::clamp(similarity.p, 0.0, 1.0);
      Outside& outside = outside_[i / Tiles::kRows];
      if (!(std::abs(similarity.p - p) <= kRounding) && count > 0 && outside.j < 0) outside = {i, j, similarity.p};
      similarity.p = p;
    }
    const double q = labels_.Share(i, j);
    if (count > 0) row_losses_[i] += count * loss.value(similarity.p, q);
    if (grad_spikes_ == nullptr) return;
    // Twice: for the pair (j, i), too.
    const double slope = 2 * loss.slope(similarity.p, q) / pairs();
    const int64_t row = i % Tiles::kRows;
    gradients(row, i) += slope * similarity.self;
    gradients(row, j) += slope * similarity.other;
  }

  void WriteGradient(int64_t i, typename Tiles::Scratch& scratch, const RowMatrix<double>& gradients) {
    const int64_t rows = std::min(Tiles::kRows, samples_ - i);
    for (int64_t k = 0; k < spikes_.cols(); k += Tiles::kDepth) {
      const int64_t depth = std::min<int64_t>(Tiles::kDepth, spikes_.cols() - k);
      auto sum = scratch.x.topLeftCorner(rows, depth);
      sum.setZero();
      for (int64_t j = 0; j < samples_; j += Tiles::kRows) {
        const int64_t others = std::min(Tiles::kRows, samples_ - j);
        auto spikes = scratch.y.topLeftCorner(others, depth);
        spikes = spikes_.block(j, k, others, depth).template cast<double>();
        sum.noalias() += gradients.block(0, j, rows, others) * spikes;
      }
      grad_spikes_->block(i, k, rows, depth) = sum.template cast<Scalar>();
    }
  }

  const int64_t samples_;
  const MatrixView<Scalar>& spikes_;
  const LabelSets labels_;
  const Kernel& kernel_;
  const LossType loss_type_;
  MutableMatrixView<Scalar>* const grad_spikes_;
  const Tiles tiles_;
  Eigen::VectorXd norms_;
  // Each written by one task only, and summed in order: the sum does not depend on the threads.
  Eigen::VectorXd row_losses_;
  std::vector<Outside> outside_;
};

}  // namespace

template <typename Scalar>
absl::StatusOr<double> SpikeSimilarLoss(MatrixView<Scalar> spikes, MatrixView<uint8_t> labels, const Kernel& kernel,
                                        LossType loss_type, std::optional<MutableMatrixView<Scalar>> grad_spikes,
                                        Executor& executor) {
  if (absl::Status status = CheckKernel(kernel); !status.ok()) return status;
  if (spikes.rows() == 0) return InvalidField("spikes", "0 samples", "at least 1, as the loss is a mean");
  if (labels.rows() != spikes.rows()) {
    return InvalidField("labels", ShapeString({labels.rows(), labels.cols()}),
                        absl::StrCat(spikes.rows(), " rows, one for each sample of spikes"));
  }
  for (Eigen::Index i = 0; i < labels.rows(); ++i) {
    for (Eigen::Index c = 0; c < labels.cols(); ++c) {
      if (labels(i, c) <= 1) continue;
      return InvalidField("labels", absl::StrCat("labels[", i, "][", c, "] is ", labels(i, c)), "only 0 and 1");
    }
  }
  if (grad_spikes && (grad_spikes->rows() != spikes.rows() || grad_spikes->cols() != spikes.cols())) {
    return InvalidField("grad_spikes", ShapeString({grad_spikes->rows(), grad_spikes->cols()}),
                        absl::StrCat("the shape of spikes, ", ShapeString({spikes.rows(), spikes.cols()})));
  }
  return Evaluation<Scalar>(spikes, labels, kernel, loss_type, grad_spikes ? &*grad_spikes : nullptr).Run(executor);
}

template absl::StatusOr<double> SpikeSimilarLoss(MatrixView<float>, MatrixView<uint8_t>, const Kernel&, LossType,
                                                 std::optional<MutableMatrixView<float>>, Executor&);
template absl::StatusOr<double> SpikeSimilarLoss(MatrixView<double>, MatrixView<uint8_t>, const Kernel&, LossType,
                                                 std::optional<MutableMatrixView<double>>, Executor&);

}  // namespace spikeserve

#include "digits_model.h"

#include "absl/status/status.h"
#include "npz/npz.h"

namespace digits {
namespace {

using spikeserve::Tensor;

absl::StatusOr<Tensor> ReadBytes(const std::string& member, size_t rank) {
  absl::StatusOr<Tensor> array = spikeserve::npz::ReadArray(member);
  if (array.ok() && (array->dtype() != spikeserve::DataType::kUint8 || array->shape().size() != rank)) {
    return absl::InvalidArgumentError(member + " is not an array of bytes with the dimensions of digits");
  }
  return array;
}

}  // namespace

absl::StatusOr<Digits> ReadDigits(const std::string& path) {
  absl::StatusOr<Tensor> images = ReadBytes(path + ":images", 2);
  if (!images.ok()) return images.status();
  absl::StatusOr<Tensor> labels = ReadBytes(path + ":labels", 1);
  if (!labels.ok()) return labels.status();
  Digits digits{.images = images->matrix<uint8_t>(), .labels = {}};
  const auto values = labels->values<uint8_t>();
  digits.labels.assign(values.begin(), values.end());
  if (digits.images.cols() != kPixels || digits.images.rows() != labels->size() ||
      (labels->size() > 0 && labels->matrix<uint8_t>().maxCoeff() >= kClasses)) {
    return absl::InvalidArgumentError(path + " does not hold as many labels below 10 as images of 64 pixels");
  }
  return digits;
}

RowMatrix<bool> Encode(const Images& images) {
  RowMatrix<bool> spikes(kSteps, images.size());
  for (int t = 0; t < kSteps; ++t) {
    for (int64_t i = 0; i < images.size(); ++i) {
      const int x = images.data()[i];
      spikes(t, i) = ((t + 1) * x + kSteps / 2) / kSteps > (t * x + kSteps / 2) / kSteps;
    }
  }
  return spikes;
}

spikeserve::LinearLayer NearestMean(const Images& images, const Labels& labels) {
  // Chosen on the training digits: with this and the LIF layer's tau, a digit's own neurons fire every few steps.
  constexpr float kGain = 0.2f;
  RowMatrix<float> mean = RowMatrix<float>::Zero(kNeurons, kPixels);
  Eigen::VectorXf digits = Eigen::VectorXf::Zero(kNeurons);
  int seen[kClasses] = {};
  for (int64_t i = 0; i < images.rows(); ++i) {
    const int neuron = labels[i] * kVotes + seen[labels[i]]++ % kVotes;
    mean.row(neuron) += images.row(i).cast<float>();
    ++digits[neuron];
  }
  mean.array().colwise() /= digits.array();
  const Eigen::VectorXf half_square = mean.rowwise().squaredNorm() / 2;
  // The bias is charged at every step, the weights only by spikes.
  const Eigen::VectorXf bias = -kGain / kSteps * (half_square.array() - half_square.mean());
  return {.weight = kGain * (mean.rowwise() - mean.colwise().mean()), .bias = {bias.begin(), bias.end()}};
}

RowMatrix<float> PerClass(const Eigen::RowVectorXf& per_neuron) {
  const Eigen::Map<const RowMatrix<float>> votes(per_neuron.data(), per_neuron.size() / kVotes, kVotes);
  const Eigen::VectorXf means = votes.rowwise().mean();
  return Eigen::Map<const RowMatrix<float>>(means.data(), means.size() / kClasses, kClasses);
}

double Accuracy(const RowMatrix<float>& scores, const Labels& labels) {
  int right = 0;
  for (int64_t i = 0; i < scores.rows(); ++i) {
    Eigen::Index best;
    scores.row(i).maxCoeff(&best);
    right += best == labels[i];
  }
  return 100.0 * right / scores.rows();
}

std::pair<double, double> RightAndWrong(const RowMatrix<float>& scores, const Labels& labels) {
  double right = 0;
  for (int64_t i = 0; i < scores.rows(); ++i) right += scores(i, labels[i]);
  return {right / scores.rows(), (scores.sum() - right) / (scores.size() - scores.rows())};
}

std::vector<int> SortedByClass(const Labels& labels, int per_class) {
  std::vector<int> digits;
  for (int c = 0; c < kClasses; ++c) {
    int taken = 0;
    for (size_t i = 0; i < labels.size() && taken < per_class; ++i) {
      if (labels[i] != c) continue;
      digits.push_back(i);
      ++taken;
    }
  }
  return digits;
}

RowMatrix<bool> InTurn(const Eigen::Ref<const RowMatrix<bool>>& spikes, const std::vector<int>& digits, int width) {
  RowMatrix<bool> result(kSteps * digits.size(), width);
  for (size_t i = 0; i < digits.size(); ++i) {
    result.middleRows(i * kSteps, kSteps) = spikes.middleCols(digits[i] * width, width);
  }
  return result;
}

}  // namespace digits

// The digits and what is made of them without the service: spikes, weights, scores. B is a number of digits.

#ifndef SPIKESERVE_EXAMPLES_DIGITS_MODEL_H_
#define SPIKESERVE_EXAMPLES_DIGITS_MODEL_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "Eigen/Core"
#include "absl/status/statusor.h"
#include "spikeserve/compute/layer_spec.h"
#include "spikeserve/compute/matrix.h"

namespace digits {

using spikeserve::RowMatrix;
using Images = RowMatrix<uint8_t>;  // [B, pixels], intensities 0 to 16.
using Labels = std::vector<int32_t>;

constexpr int kSteps = 32;
constexpr int kClasses = 10;
constexpr int kPixels = 64;
// Each class has several output neurons, which vote. They learn from different digits.
constexpr int kVotes = 4;
constexpr int kNeurons = kClasses * kVotes;

struct Digits {
  Images images;
  Labels labels;
};

// Reads the members images, uint8 [B, 64], and labels, uint8 [B], of a .npz file.
absl::StatusOr<Digits> ReadDigits(const std::string& path);

// Rate coding: a pixel of intensity x, 0 to 16, fires x times in the 32 steps, evenly spaced from half an interval on.
// So the number of spikes is the intensity itself, brighter pixels are also the earlier ones, and nothing is random:
// with Poisson spikes, two showings of one digit would differ about as much as two digits of a class do.
// The result is [T, B * pixels].
RowMatrix<bool> Encode(const Images& images);

// The linear discriminant of the nearest mean: of a digit with pixels x, the right class c should have the largest
// mean_c . x - |mean_c|^2 / 2. What all neurons have in common is subtracted: it decides nothing, and would make all of
// them fire. The k-th neuron of a class has the mean of every kVotes-th digit of that class.
spikeserve::LinearLayer NearestMean(const Images& images, const Labels& labels);

// The mean over each class's neurons. per_neuron is [B * neurons], the result [B, classes].
RowMatrix<float> PerClass(const Eigen::RowVectorXf& per_neuron);

// The percentage of digits whose own class has the largest score. scores is [B, classes].
double Accuracy(const RowMatrix<float>& scores, const Labels& labels);

// The means of the scores [B, classes]: of those for a digit's own class, and of the others.
std::pair<double, double> RightAndWrong(const RowMatrix<float>& scores, const Labels& labels);

// The first `per_class` digits of each class, sorted by class.
std::vector<int> SortedByClass(const Labels& labels, int per_class);

// The spikes of the digits, one after the other. spikes is [T, B * width], the result [T * digits, width].
RowMatrix<bool> InTurn(const Eigen::Ref<const RowMatrix<bool>>& spikes, const std::vector<int>& digits, int width);

}  // namespace digits

#endif  // SPIKESERVE_EXAMPLES_DIGITS_MODEL_H_

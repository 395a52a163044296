// The losses of a training step: values and gradients, restated in double from what a plain Forward records.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/compute_test_util.h"
#include "lib/network_testing.h"
#include "spikeserve/compute/network.h"
#include "spikeserve/compute/stca_loss.h"
#include "support/golden.h"

namespace spikeserve {
namespace {

using Spikes = RowMatrix<double>;

constexpr int64_t kSteps = 7, kBatch = 5, kClasses = 4;
constexpr int64_t kLabels[kBatch] = {2, 0, 3, 2, 1};
// Steps like a network's blocks and vectors are not.
const Shape kShape = {kSteps, kBatch, 6};

// As LearningLayers, without the dropout, whose next mask would be another one.
std::vector<LayerSpec> Layers() {
  std::vector<LayerSpec> layers = LearningLayers();
  layers.erase(layers.begin() + 1);
  return layers;
}

// What a loss is said to be, in double, of a layer's record.
struct RestatedLoss {
  double value = 0;
  // Of the record's shape; one is empty.
  std::vector<float> grad_spikes = {};
  std::vector<float> grad_v_before_reset = {};
};
using Restatement = std::function<RestatedLoss(const LayerRecord&)>;

// Calls fn(t, b, n, index) for each element of a record.
template <typename Fn>
void ForEach(const LayerRecord& record, const Fn& fn) {
  size_t i = 0;
  for (int64_t t = 0; t < record.shape[0]; ++t) {
    for (int64_t b = 0; b < record.shape[1]; ++b) {
      for (int64_t n = 0; n < record.shape[2]; ++n) fn(t, b, n, i++);
    }
  }
}

// The number of spikes of each sample's neurons.
RowMatrix<double> Counts(const LayerRecord& record) {
  RowMatrix<double> counts = RowMatrix<double>::Zero(record.shape[1], record.shape[2]);
  ForEach(record, [&](int64_t, int64_t b, int64_t n, size_t i) { counts(b, n) += record.spikes[i]; });
  return counts;
}

RestatedLoss RestatedRate(const LayerRecord& record) {
  RestatedLoss loss;
  const RowMatrix<double> rates = Counts(record) / kSteps;
  const int64_t votes = rates.cols() / kClasses;
  RowMatrix<double> error = rates;
  for (int64_t b = 0; b < kBatch; ++b) {
    for (int64_t v = 0; v < votes; ++v) error(b, kLabels[b] * votes + v) -= 1;
  }
  loss.value = error.squaredNorm() / static_cast<double>(error.size());
  loss.grad_spikes.resize(record.spikes.size());
  ForEach(record, [&](int64_t, int64_t b, int64_t n, size_t i) {
    loss.grad_spikes[i] = static_cast<float>(2 * error(b, n) / static_cast<double>(error.size()) / kSteps);
  });
  return loss;
}

RestatedLoss RestatedCount(const LayerRecord& record) {
  RestatedLoss loss;
  const RowMatrix<double> counts = Counts(record);
  const int64_t votes = counts.cols() / kClasses;
  RowMatrix<double> p(kBatch, kClasses);
  for (int64_t b = 0; b < kBatch; ++b) {
    for (int64_t c = 0; c < kClasses; ++c) p(b, c) = std::exp(counts.row(b).segment(c * votes, votes).sum());
    p.row(b) /= p.row(b).sum();
    loss.value -= std::log(p(b, kLabels[b])) / kBatch;
  }
  loss.grad_spikes.resize(record.spikes.size());
  ForEach(record, [&](int64_t, int64_t b, int64_t n, size_t i) {
    const int64_t c = n / votes;
    loss.grad_spikes[i] = static_cast<float>((p(b, c) - (c == kLabels[b] ? 1 : 0)) / kBatch);
  });
  return loss;
}

// The loss of samples, each a row.
double SimilarityOf(const Spikes& x, const SimilarityLoss& loss) {
  double sum = 0;
  for (int64_t i = 0; i < kBatch; ++i) {
    for (int64_t j = 0; j < kBatch; ++j) {
      double p = testing::NaiveKernel(loss.kernel, x.row(i), x.row(j));
      if (std::holds_alternative<LinearKernel>(loss.kernel)) p /= x.row(i).norm() * x.row(j).norm() + 1e-8;
      const double q = kLabels[i] == kLabels[j] ? 1 : 0;
      if (loss.loss_type == LossType::kMse) sum += (p - q) * (p - q);
      if (loss.loss_type == LossType::kL1) sum += std::abs(p - q);
      if (loss.loss_type == LossType::kBce) sum -= q == 1 ? std::log(p) : std::log(1 - p);
    }
  }
  return sum / (kBatch * kBatch);
}

// The gradient is that of central differences.
RestatedLoss RestatedSimilarity(const LayerRecord& record, const SimilarityLoss& kind) {
  const int64_t neurons = record.shape[2];
  Spikes x(kBatch, kSteps * neurons);
  ForEach(record, [&](int64_t t, int64_t b, int64_t n, size_t i) { x(b, t * neurons + n) = record.spikes[i]; });
  EXPECT_GT(x.rowwise().sum().minCoeff(), 0);  // A silent sample's norm has no slope.
  RestatedLoss loss;
  loss.value = SimilarityOf(x, kind);
  loss.grad_spikes.resize(record.spikes.size());
  constexpr double kStep = 1e-5;
  ForEach(record, [&](int64_t t, int64_t b, int64_t n, size_t i) {
    double& at = x(b, t * neurons + n);
    const double before = at;
    at = before + kStep;
    const double above = SimilarityOf(x, kind);
    at = before - kStep;
    loss.grad_spikes[i] = static_cast<float>((above - SimilarityOf(x, kind)) / (2 * kStep));
    at = before;
  });
  return loss;
}

// By the library's function on the whole batch.
RestatedLoss RestatedClusters(const LayerRecord& record, const ClusterLoss& kind, absl::Span<const float> thresholds) {
  const int64_t neurons = record.shape[2];
  const Eigen::Map<const RowMatrix<float>> v(record.v_before_reset.data(), kSteps, kBatch * neurons);
  std::vector<double> n_d;
  for (int64_t b = 0; b < kBatch; ++b) {
    for (int64_t n = 0; n < neurons; ++n) n_d.push_back(n / (neurons / kClasses) == kLabels[b] ? kind.n_d : 0);
  }
  RestatedLoss loss;
  loss.grad_v_before_reset.resize(record.v_before_reset.size());
  RowMatrix<float> grad(v.rows(), v.cols());
  const auto value = StcaLoss<float>(v, thresholds, kind.t_in, n_d, MutableMatrixView<float>(grad));
  EXPECT_TRUE(value.ok()) << value.status();
  EXPECT_GT(grad.cwiseAbs().sum(), 0);
  loss.value = value->loss / kBatch;
  for (int64_t i = 0; i < grad.size(); ++i) loss.grad_v_before_reset[i] = grad.data()[i] / kBatch;
  return loss;
}

LayerRecord Record(const ForwardResult& result) {
  // The case says something: the neurons fire, and not always.
  const LayerRecord& record = result.records[0];
  const auto spikes = std::count(record.spikes.begin(), record.spikes.end(), 1);
  EXPECT_GT(spikes, static_cast<int64_t>(record.spikes.size()) / 20);
  EXPECT_LT(spikes, static_cast<int64_t>(record.spikes.size()) * 19 / 20);
  return record;
}

// A step of learning rate 1 moves each parameter by minus the gradient that Backward gives for the restated one of the
// loss, times the weight.
void ExpectRestated(const LossTerm& term, const Restatement& restate) {
  Network network = MakeNetwork(Layers()), plain = MakeNetwork(Layers());
  const std::vector<float> input = RandomNumbers(kSteps * kBatch * 6, 21);
  plain.SetTraining(true);
  const RecordRequest request{.layer = term.layer.empty() ? "out" : term.layer, .spikes = true, .v_before_reset = true};
  const auto forward = plain.Forward(input, kShape, {.records = {&request, 1}, .keep_trace = true});
  ASSERT_TRUE(forward.ok()) << forward.status();
  const RestatedLoss loss = restate(Record(*forward));
  const LayerGradient gradient{
      .layer = request.layer, .spikes = loss.grad_spikes, .v_before_reset = loss.grad_v_before_reset};
  ASSERT_TRUE(plain.Backward({.layers = {&gradient, 1}}).ok());

  const std::vector<ParameterTensor> before = ParametersOf(network);
  const auto step = network.TrainStep(
      input, kShape, kLabels, {.optimizer = Sgd{.learning_rate = 1}, .num_classes = kClasses, .losses = {term}});
  ASSERT_TRUE(step.ok()) << step.status();
  EXPECT_THAT(step->losses, ::testing::ElementsAre(::testing::DoubleNear(loss.value, 1e-6 * std::abs(loss.value))));
  EXPECT_DOUBLE_EQ(step->loss, term.weight * step->losses[0]);

  const std::vector<ParameterTensor> after = ParametersOf(network), wanted = plain.Gradients();
  const std::vector<ParameterTensor> got = network.GetOptimizerState().first_moments;
  double largest = 0;
  for (size_t p = 0; p < wanted.size(); ++p) {
    double scale = 0;
    for (const float g : wanted[p].values) scale = std::max(scale, std::abs(term.weight * g));
    for (size_t i = 0; i < wanted[p].values.size(); ++i) {
      SCOPED_TRACE(absl::StrCat(wanted[p].layer, ".", wanted[p].parameter, " ", i));
      EXPECT_EQ(after[p].values[i], before[p].values[i] - got[p].values[i]);
      EXPECT_NEAR(got[p].values[i], term.weight * wanted[p].values[i], 2e-5 * scale);
    }
    largest = std::max(largest, scale);
  }
  EXPECT_GT(largest, 1e-6);
}

TEST(RateLoss, OfHiddenAndOutputLayersIsRestated) {
  ExpectRestated({.kind = RateLoss()}, RestatedRate);
  ExpectRestated({.layer = "rif", .weight = 2.5, .kind = RateLoss()}, RestatedRate);
  ExpectRestated({.layer = "hidden", .weight = -0.5, .kind = RateLoss()}, RestatedRate);
}

TEST(CountLoss, OfHiddenAndOutputLayersIsRestated) {
  ExpectRestated({.kind = CountLoss()}, RestatedCount);
  ExpectRestated({.layer = "rif", .weight = 2.5, .kind = CountLoss()}, RestatedCount);
  ExpectRestated({.layer = "hidden", .weight = -0.5, .kind = CountLoss()}, RestatedCount);
}

TEST(SimilarityLoss, OfHiddenAndOutputLayersIsRestated) {
  for (const SimilarityLoss& loss :
       {SimilarityLoss{}, SimilarityLoss{.loss_type = LossType::kL1}, SimilarityLoss{.kernel = GaussianKernel{3}},
        SimilarityLoss{.kernel = GaussianKernel{3}, .loss_type = LossType::kL1},
        SimilarityLoss{.kernel = GaussianKernel{4}, .loss_type = LossType::kBce},
        SimilarityLoss{.kernel = SigmoidKernel{0.1}}, SimilarityLoss{.kernel = PolynomialKernel{2}}}) {
    SCOPED_TRACE(absl::StrCat("kernel ", loss.kernel.index(), ", loss type ", static_cast<int>(loss.loss_type)));
    const auto restate = [&](const LayerRecord& record) { return RestatedSimilarity(record, loss); };
    ExpectRestated({.layer = "hidden", .weight = 3, .kind = loss}, restate);
    // Samples of different classes spike equally in the smaller layers, where the slope of bce is not finite.
    if (loss.loss_type == LossType::kBce) continue;
    ExpectRestated({.kind = loss}, restate);
    ExpectRestated({.layer = "rif", .weight = -0.5, .kind = loss}, restate);
  }
}

TEST(ClusterLoss, OfHiddenAndOutputLayersIsStcas) {
  for (const int64_t t_in : {0, 1, 3}) {
    for (const double n_d : {1.0, 2.5}) {
      SCOPED_TRACE(absl::StrCat("t_in ", t_in, ", n_d ", n_d));
      const ClusterLoss loss{.t_in = t_in, .n_d = n_d};
      const auto restate = [&](float threshold) {
        return [&loss, threshold](const LayerRecord& record) { return RestatedClusters(record, loss, {threshold}); };
      };
      ExpectRestated({.kind = loss}, restate(0.75f));
      ExpectRestated({.layer = "hidden", .weight = 2.5, .kind = loss}, restate(1));
      ExpectRestated({.layer = "rif", .weight = -0.5, .kind = loss}, restate(1));
    }
  }
}

TEST(ClusterLoss, CountsBySingleThresholdsWhereALayerHasThem) {
  std::vector<LayerSpec> layers = Layers();
  ThresholdTensor thresholds{.shape = {kBatch, 8}, .values = RandomNumbers(kBatch * 8, 3)};
  std::get<PlifNode>(layers.back().kind).v_threshold = thresholds;
  Network network = MakeNetwork(layers), plain = MakeNetwork(layers);
  const std::vector<float> input = RandomNumbers(kSteps * kBatch * 6, 21);
  const RecordRequest request{.layer = "out", .spikes = true, .v_before_reset = true};
  const LayerRecord record = Record(Forward(plain, input, kShape, {&request, 1}));
  const ClusterLoss loss{.t_in = 1};
  const auto step = network.TrainStep(input, kShape, kLabels,
                                      {.optimizer = Sgd(), .num_classes = kClasses, .losses = {{.kind = loss}}});
  ASSERT_TRUE(step.ok()) << step.status();
  EXPECT_NEAR(step->loss, RestatedClusters(record, loss, thresholds.values).value, 1e-6);
}

// --- The reference's gradients of SpikeSimilarLoss.

LossType LossTypeOf(const std::string& name) {
  return name == "bce" ? LossType::kBce : name == "l1" ? LossType::kL1 : LossType::kMse;
}

// Each element of the weight is a spike of one sample alone, and so is its gradient.
TEST(SimilarityLoss, GradientIsTheReferences) {
  int compared = 0;
  for (const testing::GoldenCase& golden : testing::GoldenCases("spike_similar_loss")) {
    SCOPED_TRACE(golden.name);
    if (!golden.outputs.contains("grad_spikes")) continue;
    const RowMatrix<float> spikes = golden.inputs.at("spikes").matrix<float>();
    const RowMatrix<int64_t> one_hot = golden.inputs.at("labels").matrix<int64_t>();
    const bool are_spikes = ((spikes.array() == 0) || (spikes.array() == 1)).all();
    const bool are_classes = (one_hot.array() >= 0).all() && (one_hot.rowwise().sum().array() == 1).all();
    if (!are_spikes || !are_classes || spikes.size() == 0) continue;
    ++compared;
    const int64_t samples = spikes.rows(), classes = one_hot.cols();
    std::vector<int64_t> labels;
    for (int64_t i = 0; i < samples; ++i) {
      labels.push_back(0);
      one_hot.row(i).maxCoeff(&labels.back());
    }
    IfNode node;
    node.surrogate = BilinearLeakyReluSurrogate{.a = 1, .b = 1, .c = 1};
    Network network = MakeNetwork({{.name = "samples", .kind = LinearLayer{.weight = spikes.transpose()}},
                                   {.name = "spikes", .kind = node},
                                   {.name = "classes", .kind = RandomLinear(spikes.cols(), classes, 1)},
                                   {.name = "out", .kind = node}});
    const RowMatrix<float> which = RowMatrix<float>::Identity(samples, samples);
    const SimilarityLoss loss{.kernel = testing::KernelOf(golden), .loss_type = LossTypeOf(golden.params["loss_type"])};
    const auto step = network.TrainStep(
        {which.data(), static_cast<size_t>(which.size())}, {1, samples, samples}, labels,
        {.optimizer = Sgd{.learning_rate = 1}, .num_classes = classes, .losses = {{.layer = "spikes", .kind = loss}}});
    ASSERT_TRUE(step.ok()) << step.status();
    const double reference = golden.outputs.at("loss").ToDoubles()[0];
    EXPECT_NEAR(step->loss, reference, 1e-6 * std::max(1.0, std::abs(reference)));
    const std::vector<float> got = ValuesOf(network.GetOptimizerState().first_moments, "samples", "weight");
    const RowMatrix<float> grad = golden.outputs.at("grad_spikes").matrix<float>();
    const float scale = grad.cwiseAbs().maxCoeff();
    for (int64_t i = 0; i < samples; ++i) {
      for (int64_t m = 0; m < spikes.cols(); ++m) EXPECT_NEAR(got[m * samples + i], grad(i, m), 1e-5 * scale);
    }
  }
  EXPECT_GE(compared, 10);
}

}  // namespace
}  // namespace spikeserve

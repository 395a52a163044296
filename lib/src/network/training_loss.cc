#include "network/training_loss.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "absl/strings/str_cat.h"
#include "network/constant_input.h"
#include "network/network_layer.h"
#include "spikeserve/compute/field_error.h"
#include "spikeserve/compute/spike_similar_loss.h"
#include "spikeserve/compute/stca_loss.h"

namespace spikeserve {
namespace {

// A record's dimensions: [steps, batch, neurons].
struct Extent {
  explicit Extent(const LayerRecord& record)
      : steps(record.shape[0]), batch(record.shape[1]), neurons(*ElementCount(record.shape) / (steps * batch)) {}
  int64_t steps;
  int64_t batch;
  int64_t neurons;
};

bool TellsClasses(const LossTerm& term) { return !std::holds_alternative<SimilarityLoss>(term.kind); }

// Whether neuron n of the layer belongs to the sample's class.
bool IsOfClass(const Extent& extent, const Classes& classes, int64_t sample, int64_t neuron) {
  return neuron / (extent.neurons / classes.num_classes) == classes.labels[sample];
}

// The spikes of each neuron in all steps, [batch, neurons].
RowMatrix<float> Counts(const LayerRecord& record, Executor& executor) {
  const Extent extent(record);
  RowMatrix<float> counts = RowMatrix<float>::Zero(extent.batch, extent.neurons);
  const int64_t grain = kElementGrain / extent.steps + 1;
  executor.ParallelFor(counts.size(), std::max<int64_t>(64, grain), [&](int64_t begin, int64_t end) {
    for (int64_t t = 0; t < extent.steps; ++t) {
      const uint8_t* step = record.spikes.data() + t * counts.size();
      for (int64_t i = begin; i < end; ++i) counts.data()[i] += step[i];
    }
  });
  return counts;
}

// The gradient with respect to a neuron's spikes, the same in all steps.
std::vector<float> InAllSteps(const RowMatrix<float>& grad, int64_t steps, Executor& executor) {
  std::vector<float> all(static_cast<size_t>(steps * grad.size()));
  std::copy_n(grad.data(), grad.size(), all.data());
  RepeatFirstStep(absl::MakeSpan(all), steps, executor);
  return all;
}

struct Evaluation {
  const LossTerm& term;
  const LayerRecord& record;
  const std::variant<float, ThresholdTensor>& v_threshold;
  const Classes& classes;
  Executor& executor;

  absl::StatusOr<LossValue> operator()(const SimilarityLoss& loss) const {
    const Extent extent(record);
    RowMatrix<uint8_t> labels = RowMatrix<uint8_t>::Zero(extent.batch, classes.num_classes);
    for (int64_t b = 0; b < extent.batch; ++b) labels(b, classes.labels[b]) = 1;
    // A sample's spikes in all steps are a row.
    RowMatrix<float> spikes(extent.batch, extent.steps * extent.neurons);
    ForEachStepOfSample([&](int64_t t, int64_t b, int64_t at) {
      for (int64_t n = 0; n < extent.neurons; ++n) spikes(b, t * extent.neurons + n) = record.spikes[at + n];
    });
    RowMatrix<float> grad(spikes.rows(), spikes.cols());
    const absl::StatusOr<double> value =
        SpikeSimilarLoss<float>(spikes, labels, loss.kernel, loss.loss_type, MutableMatrixView<float>(grad), executor);
    if (!value.ok()) return WithinField("similarity", value.status());
    LossValue result{
        .loss = *value, .grad_spikes = std::vector<float>(record.spikes.size()), .grad_v_before_reset = {}};
    const float weight = static_cast<float>(term.weight);
    ForEachStepOfSample([&](int64_t t, int64_t b, int64_t at) {
      for (int64_t n = 0; n < extent.neurons; ++n)
        result.grad_spikes[at + n] = grad(b, t * extent.neurons + n) * weight;
    });
    return result;
  }

  absl::StatusOr<LossValue> operator()(const RateLoss&) const {
    const Extent extent(record);
    RowMatrix<float> counts = Counts(record, executor);
    const double pairs = static_cast<double>(counts.size());
    double sum = 0;
    for (int64_t b = 0; b < extent.batch; ++b) {
      for (int64_t n = 0; n < extent.neurons; ++n) {
        const double wanted = IsOfClass(extent, classes, b, n) ? 1 : 0;
        const double error = counts(b, n) / static_cast<double>(extent.steps) - wanted;
        sum += error * error;
        counts(b, n) = static_cast<float>(term.weight * 2 * error / (pairs * static_cast<double>(extent.steps)));
      }
    }
    return LossValue{
        .loss = sum / pairs, .grad_spikes = InAllSteps(counts, extent.steps, executor), .grad_v_before_reset = {}};
  }

  absl::StatusOr<LossValue> operator()(const CountLoss&) const {
    const Extent extent(record);
    const RowMatrix<double> z = CountsOfClasses(record, classes.num_classes, executor).cast<double>();
    const int64_t votes = extent.neurons / classes.num_classes;
    RowMatrix<float> grad(extent.batch, extent.neurons);
    double sum = 0;
    for (int64_t b = 0; b < extent.batch; ++b) {
      const double largest = z.row(b).maxCoeff();
      const double total = (z.row(b).array() - largest).exp().sum();
      sum += std::log(total) + largest - z(b, classes.labels[b]);
      for (int64_t c = 0; c < classes.num_classes; ++c) {
        const double p = std::exp(z(b, c) - largest) / total;
        const double wanted = c == classes.labels[b] ? 1 : 0;
        grad.row(b)
            .segment(c * votes, votes)
            .setConstant(static_cast<float>(term.weight * (p - wanted) / static_cast<double>(extent.batch)));
      }
    }
    return LossValue{.loss = sum / static_cast<double>(extent.batch),
                     .grad_spikes = InAllSteps(grad, extent.steps, executor),
                     .grad_v_before_reset = {}};
  }

  absl::StatusOr<LossValue> operator()(const ClusterLoss& loss) const {
    const Extent extent(record);
    const int64_t columns = extent.batch * extent.neurons;
    const Eigen::Map<const RowMatrix<float>> v(record.v_before_reset.data(), extent.steps, columns);
    if (v.hasNaN()) {
      return absl::FailedPreconditionError("NaN among the layer's voltages; need numbers: nothing was changed");
    }
    std::vector<double> n_d(static_cast<size_t>(columns));
    for (int64_t i = 0; i < columns; ++i) {
      n_d[i] = IsOfClass(extent, classes, i / extent.neurons, i % extent.neurons) ? loss.n_d : 0;
    }
    const auto* thresholds = std::get_if<ThresholdTensor>(&v_threshold);
    const float scalar = thresholds != nullptr ? 0 : std::get<float>(v_threshold);
    const auto threshold =
        thresholds != nullptr ? absl::MakeConstSpan(thresholds->values) : absl::MakeConstSpan(&scalar, 1);
    LossValue result{
        .loss = 0, .grad_spikes = {}, .grad_v_before_reset = std::vector<float>(record.v_before_reset.size())};
    Eigen::Map<RowMatrix<float>> grad(result.grad_v_before_reset.data(), extent.steps, columns);
    const auto value = StcaLoss<float>(v, threshold, loss.t_in, n_d, MutableMatrixView<float>(grad), executor);
    if (!value.ok()) return value.status();
    result.loss = value->loss / static_cast<double>(extent.batch);
    grad *= static_cast<float>(term.weight / static_cast<double>(extent.batch));
    return result;
  }

 private:
  // Calls fn(t, b, index of the first element of sample b in step t), possibly from several threads.
  template <typename Fn>
  void ForEachStepOfSample(const Fn& fn) const {
    const Extent extent(record);
    executor.ParallelFor(extent.steps * extent.batch, kElementGrain / extent.neurons + 1,
                         [&](int64_t begin, int64_t end) {
                           for (int64_t i = begin; i < end; ++i) {
                             fn(i / extent.batch, i % extent.batch, i * extent.neurons);
                           }
                         });
  }
};

}  // namespace

RecordRequest Needed(const LossTerm& term) {
  const bool voltages = std::holds_alternative<ClusterLoss>(term.kind);
  return {.layer = term.layer, .spikes = !voltages, .v_before_reset = voltages, .v_after_reset = false};
}

absl::Status CheckClassLayer(const std::string& field, const Shape& step, int64_t num_classes) {
  if (step.size() == 2 && step[1] > 0 && step[1] % num_classes == 0) return absl::OkStatus();
  return InvalidField(field, absl::StrCat("a layer of steps ", ShapeString(step)),
                      absl::StrCat("[batch, num_classes * n] for an n >= 1, num_classes ", num_classes));
}

absl::Status CheckLoss(const std::string& field, const LossTerm& term, const Shape& step, int64_t num_classes) {
  if (!std::isfinite(static_cast<float>(term.weight))) {
    return InvalidField(field + ".weight", absl::StrCat(term.weight), "a finite number");
  }
  if (const auto* similarity = std::get_if<SimilarityLoss>(&term.kind)) {
    const absl::Status status = CheckKernel(similarity->kernel);
    return status.ok() ? status : WithinField(field + ".similarity", status);
  }
  if (const auto* clusters = std::get_if<ClusterLoss>(&term.kind)) {
    if (clusters->t_in < 0) return InvalidField(field + ".clusters.t_in", absl::StrCat(clusters->t_in), ">= 0");
    if (!std::isfinite(clusters->n_d)) {
      return InvalidField(field + ".clusters.n_d", absl::StrCat(clusters->n_d), "a finite number");
    }
  }
  return TellsClasses(term) ? CheckClassLayer(field + ".layer", step, num_classes) : absl::OkStatus();
}

double LossWork(const LossTerm& term, int64_t steps, const Shape& step) {
  const double elements = static_cast<double>(steps) * Elements(step);
  // The records and gradients; of pairs of samples the products, there and back, and the kernel.
  const double pass = 8 * elements;
  const double batch = static_cast<double>(step[0]);
  return TellsClasses(term) ? pass : pass + batch * (2 * elements + 64 * batch);
}

absl::StatusOr<LossValue> Evaluate(const LossTerm& term, const LayerRecord& record,
                                   const std::variant<float, ThresholdTensor>& v_threshold, const Classes& classes,
                                   Executor& executor) {
  return std::visit(Evaluation{term, record, v_threshold, classes, executor}, term.kind);
}

RowMatrix<float> CountsOfClasses(const LayerRecord& record, int64_t num_classes, Executor& executor) {
  const RowMatrix<float> counts = Counts(record, executor);
  const Eigen::Map<const RowMatrix<float>> votes(counts.data(), counts.rows() * num_classes,
                                                 counts.cols() / num_classes);
  const Eigen::VectorXf sums = votes.rowwise().sum();
  return Eigen::Map<const RowMatrix<float>>(sums.data(), counts.rows(), num_classes);
}

}  // namespace spikeserve

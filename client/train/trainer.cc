#include "train/trainer.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <type_traits>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "spikeserve/compute/field_error.h"
#include "status_macros.h"
#include "train/random.h"

namespace spikeserve::train {
namespace {

bool Spikes(const LayerSpec& layer) {
  return std::visit([](const auto& kind) { return std::is_base_of_v<NeuronSpec, std::decay_t<decltype(kind)>>; },
                    layer.kind);
}

absl::Status CheckOptions(const TrainerOptions& options) {
  const struct {
    const char* field;
    int64_t value;
    int64_t least;
  } numbers[] = {{"steps", options.steps, 1},
                 {"epochs", options.epochs, 0},
                 {"batch_size", options.batch_size, 1},
                 {"num_classes", options.step.num_classes, 1}};
  for (const auto& [field, value, least] : numbers) {
    if (value < least) return InvalidField(field, absl::StrCat(value), absl::StrCat(">= ", least));
  }
  return absl::OkStatus();
}

// The spikes of the one layer that was recorded, [steps, batch, ...].
absl::StatusOr<Tensor> TakeSpikes(ForwardArgs::Result result, int64_t steps, int64_t batch) {
  if (result.records.size() == 1 && result.records[0].spikes) {
    Tensor& spikes = *result.records[0].spikes;
    const Shape& shape = spikes.shape();
    if (spikes.dtype() == DataType::kBool && shape.size() >= 2 && shape[0] == steps && shape[1] == batch) {
      return std::move(spikes);
    }
  }
  return absl::InternalError("the server's response has other records than the request asked for");
}

// How many of the samples are classified right by `spikes`, [T, B, num_classes * n].
int64_t CountCorrect(const Tensor& spikes, int64_t num_classes, absl::Span<const int64_t> labels) {
  const auto batch = static_cast<int64_t>(labels.size());
  const int64_t steps = spikes.shape()[0];
  const int64_t per_class = spikes.size() / (steps * batch * num_classes);
  std::vector<int64_t> counts(batch * num_classes);
  const absl::Span<const bool> values = spikes.values<bool>();
  for (size_t i = 0; i < values.size(); ++i) counts[i / per_class % counts.size()] += values[i];
  int64_t correct = 0;
  for (int64_t b = 0; b < batch; ++b) {
    const auto first = counts.begin() + b * num_classes;
    correct += std::max_element(first, first + num_classes) - first == labels[b];
  }
  return correct;
}

}  // namespace

absl::StatusOr<Trainer> Trainer::Create(const Client& client, const NetworkHandle& network, const DataSet& training,
                                        const DataSet* test, const TrainerOptions& options) {
  SPIKESERVE_RETURN_IF_ERROR(CheckOptions(options));
  Trainer trainer(client, network, training, test, options);
  SPIKESERVE_RETURN_IF_ERROR(trainer.Prepare());
  return trainer;
}

absl::Status Trainer::Prepare() {
  SPIKESERVE_ASSIGN_OR_RETURN(
      const GetNetworkArgs::Result network,
      client_.Call(GetNetworkArgs{.network = network_, .include_optimizer_state = true}, options_.call));
  const auto last = std::find_if(network.layers.rbegin(), network.layers.rend(), Spikes);
  if (last == network.layers.rend()) return InvalidField("layers", "no spiking layer", "one at least");
  output_layer_ = options_.step.output_layer.empty() ? last->name : options_.step.output_layer;
  next_step_ = network.next_step;
  const std::optional<Optimizer>& behind = network.optimizer_state.optimizer;
  if (behind && behind->index() == options_.step.optimizer.index()) steps_done_ = network.optimizer_state.steps;

  SPIKESERVE_ASSIGN_OR_RETURN(const NextStep next,
                              client_.Call(SetTrainingArgs{network_, /*training=*/false, next_step_}, options_.call));
  next_step_ = next.next_step;
  return Reset();
}

absl::Status Trainer::Reset() {
  SPIKESERVE_ASSIGN_OR_RETURN(const NextStep next, client_.Call(ResetNetArgs{network_, next_step_}, options_.call));
  next_step_ = next.next_step;
  return absl::OkStatus();
}

std::vector<int64_t> Trainer::Order(int64_t epoch) const {
  std::vector<int64_t> order(training_->size());
  std::iota(order.begin(), order.end(), 0);
  Random(options_.seed, Purpose::kOrder, static_cast<uint64_t>(epoch)).Shuffle(order);
  return order;
}

absl::StatusOr<TrainStepResult> Trainer::Step(absl::Span<const int64_t> samples) {
  const Tensor input = Batch(client_, *training_, samples);
  std::vector<int64_t> labels;
  for (const int64_t sample : samples) labels.push_back(training_->labels[sample]);
  TrainStepArgs args{
      .network = network_, .input = input, .labels = labels, .options = options_.step, .step = next_step_};
  if (!training_->has_time) args.repeat_input = options_.steps;
  SPIKESERVE_ASSIGN_OR_RETURN(TrainStepArgs::Result result, client_.Call(args, options_.call));
  next_step_ = result.next_step;
  ++steps_done_;
  return result;
}

absl::Status Trainer::Run(absl::FunctionRef<bool(const Progress&)> show) {
  Progress progress = {};
  while (steps_done_ < steps_wanted()) {
    const int64_t epoch = steps_done_ / steps_per_epoch();
    const std::vector<int64_t> order = Order(epoch);
    double loss = 0;
    int64_t correct = 0;
    progress.epoch = epoch + 1;
    progress.samples = 0;
    progress.epoch_ended = false;
    while (!progress.epoch_ended) {
      const absl::Time start = absl::Now();
      const size_t begin = steps_done_ % steps_per_epoch() * options_.batch_size;
      const absl::Span<const int64_t> samples = absl::MakeConstSpan(order).subspan(begin, options_.batch_size);
      SPIKESERVE_ASSIGN_OR_RETURN(const TrainStepResult result, Step(samples));
      const auto batch = static_cast<int64_t>(samples.size());
      loss += result.loss * static_cast<double>(batch);
      correct += result.correct;
      progress.samples += batch;
      progress.run_samples += batch;
      progress.loss = loss / static_cast<double>(progress.samples);
      progress.training_accuracy = static_cast<double>(correct) / static_cast<double>(progress.samples);
      progress.run_time += absl::Now() - start;
      progress.epoch_ended = steps_done_ % steps_per_epoch() == 0;
      if (progress.epoch_ended && test_ != nullptr) {
        SPIKESERVE_ASSIGN_OR_RETURN(const Evaluation test, Evaluate(*test_));
        progress.test_accuracy = test.accuracy();
      }
      if (!show(progress)) return absl::OkStatus();
    }
  }
  return absl::OkStatus();
}

Tensor Trainer::SteppedBatch(const DataSet& data, absl::Span<const int64_t> samples) const {
  Tensor batch = Batch(client_, data, samples);
  if (data.has_time) return batch;
  Shape shape = batch.shape();
  shape.insert(shape.begin(), options_.steps);
  Tensor steps = client_.NewTensor(batch.dtype(), std::move(shape));
  auto* to = static_cast<char*>(steps.data());
  for (int64_t t = 0; t < options_.steps; ++t, to += batch.byte_size()) {
    std::memcpy(to, batch.data(), batch.byte_size());
  }
  return steps;
}

absl::StatusOr<Evaluation> Trainer::Evaluate(const DataSet& data) {
  Evaluation evaluation;
  std::vector<int64_t> samples(data.size());
  std::iota(samples.begin(), samples.end(), 0);
  for (int64_t begin = 0; begin < data.size(); begin += options_.batch_size) {
    const Tensor input = SteppedBatch(data, absl::MakeConstSpan(samples).subspan(begin, options_.batch_size));
    SPIKESERVE_ASSIGN_OR_RETURN(ForwardArgs::Result result,
                                client_.Call(ForwardArgs{.network = network_,
                                                         .input = input,
                                                         .records = {{.layer = output_layer_, .spikes = true}},
                                                         .step = next_step_},
                                             options_.call));
    next_step_ = result.next_step;
    SPIKESERVE_RETURN_IF_ERROR(Reset());
    const absl::Span<const int64_t> labels = absl::MakeConstSpan(data.labels).subspan(begin, options_.batch_size);
    const int64_t steps = input.shape()[0], batch = input.shape()[1];
    SPIKESERVE_ASSIGN_OR_RETURN(const Tensor spikes, TakeSpikes(std::move(result), steps, batch));
    if (spikes.size() == 0 || spikes.size() / (steps * batch) % options_.step.num_classes != 0) {
      return InvalidField("output_layer", absl::StrCat("spikes of shape ", ShapeString(spikes.shape())),
                          absl::StrCat("a multiple of ", options_.step.num_classes, " neurons"));
    }
    evaluation.correct += CountCorrect(spikes, options_.step.num_classes, labels);
    evaluation.samples += static_cast<int64_t>(labels.size());
  }
  return evaluation;
}

}  // namespace spikeserve::train

#include "network/batch_norm2d_layer.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "network/plane_sums.h"
#include "network/window.h"
#include "spikeserve/compute/field_error.h"

namespace spikeserve {
namespace {

constexpr int64_t kMaxFeatures = 1 << 16;

struct RunningStatistics final : LayerMemory {
  std::vector<float> mean;
  std::vector<float> variance;
};

int64_t NumFeatures(const BatchNorm2d& spec) {
  if (spec.num_features != 0) return spec.num_features;
  for (const auto* values : {&spec.weight, &spec.bias, &spec.running_mean, &spec.running_var}) {
    if (!values->empty()) return static_cast<int64_t>(values->size());
  }
  return 0;
}

}  // namespace

BatchNorm2dLayer::BatchNorm2dLayer(std::string name, BatchNorm2d spec)
    : NetworkLayer(std::move(name)), spec_(std::move(spec)) {
  spec_.num_features = NumFeatures(spec_);
  if (channels() < 1 || channels() > kMaxFeatures) return;  // Check refuses it.
  const auto fill = [&](std::vector<float>& values, float value) {
    if (values.empty()) values.assign(channels(), value);
  };
  if (spec_.affine) fill(spec_.weight, 1), fill(spec_.bias, 0);
  fill(spec_.running_mean, 0);
  fill(spec_.running_var, 1);
}

absl::Status BatchNorm2dLayer::Check(std::string_view field, KnownShape& shape) const {
  const std::string prefix(field);
  if (channels() < 1 || channels() > kMaxFeatures) {
    return InvalidField(prefix + ".num_features", absl::StrCat(channels()),
                        absl::StrCat("a number from 1 to ", kMaxFeatures, ", or a vector of as many elements"));
  }
  if (!(spec_.eps > 0) || !std::isfinite(spec_.eps)) {
    return InvalidField(prefix + ".eps", absl::StrCat(spec_.eps), "a finite number > 0");
  }
  if (!(spec_.momentum >= 0 && spec_.momentum <= 1)) {
    return InvalidField(prefix + ".momentum", absl::StrCat(spec_.momentum), "a number in [0, 1]");
  }
  const auto check = [&](const char* part, const std::vector<float>& values, bool wanted) -> absl::Status {
    if (!wanted && !values.empty()) {
      return InvalidField(prefix + part, absl::StrCat(values.size(), " elements"), "none without affine");
    }
    if (wanted && static_cast<int64_t>(values.size()) != channels()) {
      return InvalidField(prefix + part, absl::StrCat(values.size(), " elements"),
                          absl::StrCat(channels(), ", one for each feature"));
    }
    return CheckFinite(prefix + part, values);
  };
  if (absl::Status s = check(".weight", spec_.weight, spec_.affine); !s.ok()) return s;
  if (absl::Status s = check(".bias", spec_.bias, spec_.affine); !s.ok()) return s;
  if (absl::Status s = check(".running_mean", spec_.running_mean, true); !s.ok()) return s;
  if (absl::Status s = check(".running_var", spec_.running_var, true); !s.ok()) return s;
  const auto least = std::min_element(spec_.running_var.begin(), spec_.running_var.end());
  if (*least < 0) {
    return InvalidField(prefix + ".running_var",
                        absl::StrCat(*least, " at element ", least - spec_.running_var.begin()), "variances >= 0");
  }
  if (absl::Status s = CheckPlanes(prefix, shape); !s.ok()) return s;
  if (shape.has_value() && shape->front() != kAnyLength && shape->front() != channels()) {
    return InvalidField(prefix + ".num_features", absl::StrCat(channels()),
                        absl::StrCat(shape->front(), ", the channels that the layers before it give"));
  }
  if (!shape.has_value()) shape = Shape{channels(), kAnyLength, kAnyLength};
  shape->front() = channels();
  return absl::OkStatus();
}

absl::StatusOr<Shape> BatchNorm2dLayer::OutputShape(const Shape& input) const {
  if (input.size() == 4 && input[1] == channels()) return input;
  return WrongInput(input, absl::StrCat("[batch, ", channels(), ", height, width]"));
}

absl::Status BatchNorm2dLayer::CheckTraining(const Shape& input) const {
  if (input[0] != 1 || input[2] != 1 || input[3] != 1) return absl::OkStatus();
  return WrongInput(input, "more than one element for each channel, in training");
}

void BatchNorm2dLayer::SetStep(const Shape& input, bool training) {
  training_ = training;
  batch_ = input[0];
  plane_ = input[2] * input[3];
}

void BatchNorm2dLayer::Prepare(const Shape&, int64_t, int64_t block, bool, Executor&) {
  statistics_.resize(block * channels());
}

int64_t BatchNorm2dLayer::PrepareByteSize(const Shape&, int64_t, int64_t block, bool) const {
  const int64_t added = block * channels() - static_cast<int64_t>(statistics_.size());
  return std::max<int64_t>(0, added) * static_cast<int64_t>(sizeof(Statistics));
}

int64_t BatchNorm2dLayer::KeptSize(const Shape&, int64_t steps) const { return 2 * steps * channels(); }

BatchNorm2dLayer::Statistics BatchNorm2dLayer::Measure(const float* input, StopCheck& stop) const {
  const int64_t sample = channels() * plane_;
  const double count = static_cast<double>(channel_elements());
  double sum = 0;
  for (int64_t b = 0; b < batch_; ++b) sum += Sum(input + b * sample, plane_, stop);
  const double mean = sum / count;
  double squares = 0;
  for (int64_t b = 0; b < batch_; ++b) {
    const float* plane = input + b * sample;
    squares += SumOfTerms(plane_, stop, [&](int64_t i) { return (plane[i] - mean) * (plane[i] - mean); });
  }
  return {.mean = static_cast<float>(mean),
          .inverse_deviation = static_cast<float>(1 / std::sqrt(squares / count + spec_.eps)),
          .variance = squares / (count - 1)};
}

void BatchNorm2dLayer::MoveRunningStatistics(int64_t channel, const Statistics& step) {
  const auto moved = [&](float from, double to) {
    return static_cast<float>((1 - spec_.momentum) * from + spec_.momentum * to);
  };
  const float mean = moved(spec_.running_mean[channel], step.mean);
  const float variance = moved(spec_.running_var[channel], step.variance);
  if (!std::isfinite(mean) || !std::isfinite(variance)) return;
  spec_.running_mean[channel] = mean;
  spec_.running_var[channel] = variance;
}

void BatchNorm2dLayer::Forward(const ForwardBlock& block, Executor& executor) {
  const int64_t count = block.steps * channels();
  executor.ParallelFor(count, kElementGrain / channel_elements() + 1, [&](int64_t begin, int64_t end) {
    StopCheck stop(executor);
    for (int64_t i = begin; i < end; ++i) {
      const int64_t channel = i % channels();
      const int64_t first = Begin(i / channels(), channel);
      statistics_[i] = training_
                           ? Measure(block.input.data() + first, stop)
                           : Statistics{.mean = spec_.running_mean[channel],
                                        .inverse_deviation =
                                            static_cast<float>(1 / std::sqrt(spec_.running_var[channel] + spec_.eps)),
                                        .variance = 0};
      const float mean = statistics_[i].mean;
      const float weight = spec_.affine ? spec_.weight[channel] : 1;
      const float bias = spec_.affine ? spec_.bias[channel] : 0;
      const float scale = statistics_[i].inverse_deviation * weight;
      for (int64_t b = 0; b < batch_; ++b) {
        const float* x = block.input.data() + first + b * channels() * plane_;
        float* y = block.output.data() + first + b * channels() * plane_;
        const auto normalise = [=](int64_t p, int64_t to) {
          for (; p < to; ++p) y[p] = (x[p] - mean) * scale + bias;
        };
        if (!stop.ForPieces(plane_, normalise)) return;
      }
    }
  });
  for (int64_t i = 0; i < count; ++i) {
    if (training_) MoveRunningStatistics(i % channels(), statistics_[i]);
    if (block.kept.empty()) continue;
    block.kept[2 * i] = statistics_[i].mean;
    block.kept[2 * i + 1] = statistics_[i].inverse_deviation;
  }
}

std::vector<Parameter> BatchNorm2dLayer::Parameters() {
  if (!spec_.affine) return {};
  return {{.name = "weight", .values = absl::MakeSpan(spec_.weight), .shape = {channels()}},
          {.name = "bias", .values = absl::MakeSpan(spec_.bias), .shape = {channels()}}};
}

void BatchNorm2dLayer::Backward(const BackwardBlock& block, bool, Executor& executor) {
  const int64_t count = block.steps * channels();
  // Of each step and channel: of the gradients, and of their products with the normalised inputs.
  std::vector<double> sums(count), products(count);
  executor.ParallelFor(count, kElementGrain / channel_elements() + 1, [&](int64_t begin, int64_t end) {
    StopCheck stop(executor);
    for (int64_t i = begin; i < end; ++i) {
      const int64_t channel = i % channels();
      const int64_t first = Begin(i / channels(), channel);
      const int64_t sample = channels() * plane_;
      const float mean = block.kept[2 * i], inverse_deviation = block.kept[2 * i + 1];
      for (int64_t b = 0; b < batch_; ++b) {
        const float* x = block.input.data() + first + b * sample;
        const float* dy = block.grad_output.data() + first + b * sample;
        sums[i] += Sum(dy, plane_, stop);
        products[i] += SumOfTerms(plane_, stop, [&](int64_t p) {
          return static_cast<double>(dy[p]) * static_cast<double>((x[p] - mean) * inverse_deviation);
        });
      }
      if (block.grad_input.empty()) continue;
      const float scale = (spec_.affine ? spec_.weight[channel] : 1) * inverse_deviation;
      // In evaluation the statistics are constants.
      const double elements = static_cast<double>(channel_elements());
      const float grad_mean = training_ ? static_cast<float>(sums[i] / elements) : 0;
      const float slope = training_ ? static_cast<float>(products[i] / elements * inverse_deviation) : 0;
      for (int64_t b = 0; b < batch_; ++b) {
        const float* x = block.input.data() + first + b * sample;
        const float* dy = block.grad_output.data() + first + b * sample;
        float* dx = block.grad_input.data() + first + b * sample;
        const auto go_back = [=](int64_t p, int64_t to) {
          for (; p < to; ++p) dx[p] = (dy[p] - grad_mean - (x[p] - mean) * slope) * scale;
        };
        if (!stop.ForPieces(plane_, go_back)) return;
      }
    }
  });
  if (!spec_.affine) return;
  for (int64_t c = 0; c < channels(); ++c) {
    double bias = 0, weight = 0;
    for (int64_t i = c; i < count; i += channels()) bias += sums[i], weight += products[i];
    block.gradients[0][c] += static_cast<float>(weight);
    block.gradients[1][c] += static_cast<float>(bias);
  }
}

std::unique_ptr<LayerMemory> BatchNorm2dLayer::Mark() const {
  auto memory = std::make_unique<RunningStatistics>();
  memory->mean = spec_.running_mean;
  memory->variance = spec_.running_var;
  return memory;
}

void BatchNorm2dLayer::Put(std::unique_ptr<LayerMemory> taken) {
  auto& memory = static_cast<RunningStatistics&>(*taken);
  spec_.running_mean = std::move(memory.mean);
  spec_.running_var = std::move(memory.variance);
}

int64_t BatchNorm2dLayer::ByteSize() const {
  const int64_t floats = static_cast<int64_t>(spec_.weight.size() + spec_.bias.size() + spec_.running_mean.size() +
                                              spec_.running_var.size());
  return sizeof(*this) + name().size() + floats * static_cast<int64_t>(sizeof(float)) +
         static_cast<int64_t>(statistics_.size() * sizeof(Statistics));
}

}  // namespace spikeserve

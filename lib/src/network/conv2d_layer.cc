#include "network/conv2d_layer.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "aligned_buffer.h"
#include "network/constant_input.h"
#include "network/element_loops.h"
#include "network/plane_sums.h"
#include "scratch.h"
#include "simd/transpose.h"
#include "spikeserve/compute/field_error.h"
#include "spikeserve/compute/matrix.h"

namespace spikeserve {
namespace {

bool HasItsShape(const Conv2d& spec) {
  return spec.weight_shape.size() == 4 && !spec.weight.empty() &&
         ElementCount(spec.weight_shape) == static_cast<int64_t>(spec.weight.size());
}

// Of a matrix of `rows`.
std::vector<float> Transposed(const std::vector<float>& values, int64_t rows) {
  const int64_t columns = static_cast<int64_t>(values.size()) / rows;
  std::vector<float> transposed(values.size());
  simd::Transpose(values.data(), columns, rows, columns, nullptr, transposed.data(), rows);
  return transposed;
}

Window WindowOf(const Conv2d& spec) {
  const Extent kernel = HasItsShape(spec) ? Extent{spec.weight_shape[2], spec.weight_shape[3]} : Extent{1, 1};
  return {kernel, spec.stride, spec.padding, spec.dilation};
}

// What the parts of a weight's gradient may take, in elements, and how many they may be. Both are the same for any
// number of threads, as the sums depend on them.
constexpr int64_t kPartElements = 1 << 21;
constexpr int64_t kMaxParts = 16;
// The positions that a kernel may have at most, and the sums of one that a thread may have at a time.
constexpr int64_t kMaxKernelSize = 1 << 20;
constexpr int64_t kMaxSums = 1 << 22;
// The elements of a plane that are summed by themselves, so that sums of many do not lose their last digits.
constexpr int64_t kRunElements = 1024;

}  // namespace

Conv2dLayer::Conv2dLayer(std::string name, Conv2d spec)
    : NetworkLayer(std::move(name)), spec_(std::move(spec)), window_(WindowOf(spec_)) {
  if (HasItsShape(spec_)) spec_.weight = Transposed(spec_.weight, out());
}

absl::Status Conv2dLayer::Check(std::string_view field, KnownShape& shape) const {
  const std::string prefix(field);
  const std::string got = absl::StrCat("shape ", ShapeString(spec_.weight_shape));
  if (!HasItsShape(spec_)) {
    return InvalidField(prefix + ".weight", absl::StrCat(got, " of ", spec_.weight.size(), " elements"),
                        "[out, channels / groups, kernel height, kernel width], each >= 1");
  }
  if (spec_.weight_shape[2] > kMaxKernelSize / spec_.weight_shape[3]) {
    return InvalidField(prefix + ".weight", got, "a kernel of at most 1,048,576 positions");
  }
  if (absl::Status s = CheckFinite(prefix + ".weight", spec_.weight); !s.ok()) return s;
  if (!spec_.bias.empty() && static_cast<int64_t>(spec_.bias.size()) != out()) {
    return InvalidField(prefix + ".bias", absl::StrCat(spec_.bias.size(), " elements"),
                        absl::StrCat(out(), ", the outputs of the weight"));
  }
  if (absl::Status s = CheckFinite(prefix + ".bias", spec_.bias); !s.ok()) return s;
  if (absl::Status s = CheckExtent(prefix + ".stride", spec_.stride, 1); !s.ok()) return s;
  if (absl::Status s = CheckExtent(prefix + ".padding", spec_.padding, 0); !s.ok()) return s;
  if (absl::Status s = CheckExtent(prefix + ".dilation", spec_.dilation, 1); !s.ok()) return s;
  if (spec_.groups < 1 || out() % spec_.groups != 0) {
    return InvalidField(prefix + ".groups", absl::StrCat(spec_.groups),
                        absl::StrCat("a divisor of ", out(), ", the outputs of the weight"));
  }
  if (absl::Status s = CheckPlanes(prefix, shape); !s.ok()) return s;
  if (shape.has_value() && shape->front() != kAnyLength && shape->front() != in()) {
    return InvalidField(
        prefix + ".weight", absl::StrCat(got, " for ", spec_.groups, " groups"),
        absl::StrCat("channels / groups of the ", shape->front(), " channels that the layers before it give"));
  }
  return Slide(prefix + ".weight", window_, out(), shape);
}

decltype(LayerSpec::kind) Conv2dLayer::Kind() const {
  Conv2d spec = spec_;
  spec.weight = Transposed(spec_.weight, static_cast<int64_t>(spec_.weight.size()) / out());
  return spec;
}

absl::StatusOr<Shape> Conv2dLayer::OutputShape(const Shape& input) const {
  if (!Fits(window_, input) || input[1] != in()) {
    return WrongInput(input, absl::StrCat("[batch, ", in(), ", height, width] of ", FittingPlanes(window_)));
  }
  const auto [height, width] = window_.Output(PlaneOf(input));
  return Shape{input[0], out(), height, width};
}

double Conv2dLayer::StepWork(const Shape& input, const Shape& output) const {
  // Few outputs take as long as the lanes of a vector.
  const double lanes = static_cast<double>(std::max<int64_t>(simd::kTapLanes, group_out()));
  const double taps = static_cast<double>(group_in() * window_.kernel_size());
  return 8 * Elements(input) + Elements(output) / static_cast<double>(group_out()) * lanes * taps;
}

void Conv2dLayer::SetStep(const Shape& input, bool) {
  input_ = PlaneOf(input);
  output_ = window_.Output(input_);
}

int64_t Conv2dLayer::Samples(size_t input_elements) const {
  return static_cast<int64_t>(input_elements) / (in() * input_.height * input_.width);
}

void Conv2dLayer::Forward(const ForwardBlock& block, Executor& executor) {
  const bool constant = IsConstant(block.input, block.steps);
  PlaneProducts{.window = window_,
                .direction = Direction::kForward,
                .samples = Samples(block.input.size()) / (constant ? block.steps : 1),
                .groups = spec_.groups,
                .source_channels = group_in(),
                .target_channels = group_out(),
                .source = input_,
                .target = output_,
                .table = spec_.weight.data(),
                .group_step = group_out(),
                .row_step = out(),
                .start = spec_.bias.empty() ? nullptr : spec_.bias.data()}
      .Run(block.input.data(), block.output.data(), executor);
  if (constant) RepeatFirstStep(block.output, block.steps, executor);
}

std::vector<Parameter> Conv2dLayer::Parameters() {
  std::vector<Parameter> parameters = {
      {.name = "weight", .values = absl::MakeSpan(spec_.weight), .shape = spec_.weight_shape, .transposed = true}};
  if (!spec_.bias.empty()) {
    parameters.push_back({.name = "bias", .values = absl::MakeSpan(spec_.bias), .shape = {out()}});
  }
  return parameters;
}

void Conv2dLayer::Backward(const BackwardBlock& block, bool, Executor& executor) {
  if (!block.grad_input.empty()) SetInputGradient(block, executor);
  absl::Span<const float> grad_output = block.grad_output;
  ScratchFloats sums;
  if (IsConstant(block.input, block.steps)) {
    sums = SumOfSteps(grad_output, block.steps, executor);
    grad_output = sums;
  }
  AddWeightGradient(block.input, grad_output, block.gradients[0], executor);
  if (!spec_.bias.empty()) AddBiasGradient(grad_output, block.gradients[1], executor);
}

void Conv2dLayer::AddWeightGradient(absl::Span<const float> input, absl::Span<const float> grad_output,
                                    absl::Span<float> gradient, Executor& executor) const {
  const int64_t out_plane = output_.height * output_.width;
  const int64_t samples = static_cast<int64_t>(grad_output.size()) / (out() * out_plane);
  const int64_t in_plane = input_.height * input_.width;
  const int64_t kernel = window_.kernel_size();

  // The gradients of the outputs, those of a position behind one another.
  ScratchFloats grads(grad_output.size());
  const int64_t row = output_.width * out();
  executor.ParallelFor(samples * output_.height, kElementGrain / row + 1, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end;) {
      // Of one sample.
      const int64_t sample = r / output_.height, y = r % output_.height;
      const int64_t count = std::min(end - r, output_.height - y);
      simd::Transpose(grad_output.data() + sample * out_plane * out() + y * output_.width, out_plane, out(),
                      count * output_.width, nullptr, grads.data() + r * row, out());
      r += count;
    }
  });

  // A kernel's sums over a run of elements, for some outputs.
  constexpr int64_t kLanes = simd::kTapLanes;
  const int64_t most = std::clamp(kMaxSums / kernel / kLanes * kLanes, kLanes, int64_t{64});
  const int64_t tile = std::min(most, (group_out() + kLanes - 1) / kLanes * kLanes);
  const TapAxis row_axis(window_.height, Direction::kForward, input_.height,
                         {.kernel = {0, window_.width.kernel * tile}, .target = {output_.width * out(), 0}});
  const TapAxis column_axis(window_.width, Direction::kForward, input_.width,
                            {.kernel = {0, tile}, .target = {out(), 0}});
  const int64_t run = std::max<int64_t>(1, kRunElements / input_.width);

  const int64_t parts =
      std::clamp<int64_t>(std::min(samples, kPartElements / static_cast<int64_t>(gradient.size())), 1, kMaxParts);
  std::vector<float> part_sums(parts == 1 ? 0 : parts * gradient.size());
  const int64_t work = samples * out_plane * group_out() * kernel / parts;
  executor.ParallelFor(
      parts * in(), (int64_t{1} << 20) / std::max<int64_t>(1, work) + 1, [&](int64_t begin, int64_t end) {
        AlignedBuffer<float> sums(kernel * tile);
        AxisTile rows, columns;
        row_axis.Cut(0, output_.height, rows);
        column_axis.Cut(0, output_.width, columns);
        StopCheck stop(executor);
        for (int64_t unit = begin; unit < end; ++unit) {
          const int64_t part = unit / in();
          const int64_t channel = unit % in();
          const int64_t group = channel / group_in();
          float* channel_sums = (parts == 1 ? gradient.data() : part_sums.data() + part * gradient.size()) +
                                channel % group_in() * kernel * out() + group * group_out();
          for (int64_t s = samples * part / parts; s < samples * (part + 1) / parts; ++s) {
            const float* plane = input.data() + (s * in() + channel) * in_plane + rows.source_begin() * input_.width +
                                 columns.source_begin();
            for (int64_t n = 0; n < group_out(); n += tile) {
              const int64_t outputs = std::min(tile, group_out() - n);
              const float* from = grads.data() + s * out_plane * out() + group * group_out() + n;
              for (int64_t y = 0; y < rows.sources(); y += run) {
                std::fill_n(sums.data(), kernel * tile, 0.0f);
                if (!AddTapProducts(plane + y * input_.width, input_.width, rows, y, std::min(run, rows.sources() - y),
                                    columns, from, sums.data(), outputs, stop) ||
                    stop.After(kernel * tile)) {
                  return;
                }
                for (int64_t k = 0; k < kernel; ++k) {
                  float* to = channel_sums + k * out() + n;
                  const float* sum = sums.data() + k * tile;
                  for (int64_t i = 0; i < outputs; ++i) to[i] += sum[i];
                }
              }
            }
          }
        }
      });
  if (parts == 1) return;
  executor.ParallelFor(static_cast<int64_t>(gradient.size()), kElementGrain / parts, [&](int64_t begin, int64_t end) {
    for (int64_t part = 0; part < parts; ++part) {
      const float* sums = part_sums.data() + part * gradient.size();
      for (int64_t i = begin; i < end; ++i) gradient[i] += sums[i];
    }
  });
}

void Conv2dLayer::AddBiasGradient(absl::Span<const float> grad_output, absl::Span<float> gradient,
                                  Executor& executor) const {
  const int64_t plane = output_.height * output_.width;
  const int64_t samples = static_cast<int64_t>(grad_output.size()) / (out() * plane);
  executor.ParallelFor(out(), kElementGrain / (samples * plane) + 1, [&](int64_t begin, int64_t end) {
    StopCheck stop(executor);
    for (int64_t o = begin; o < end; ++o) {
      double sum = 0;
      for (int64_t s = 0; s < samples; ++s) sum += Sum(grad_output.data() + (s * out() + o) * plane, plane, stop);
      gradient[o] += static_cast<float>(sum);
    }
  });
}

void Conv2dLayer::SetInputGradient(const BackwardBlock& block, Executor& executor) const {
  // The weight as [out, kernel height, kernel width, in / groups], the kernel in reverse.
  const int64_t kernel = window_.kernel_size();
  ScratchFloats table(spec_.weight.size());
  for (int64_t k = 0; k < kernel; ++k) {
    TransposeElements(spec_.weight.data() + k * out(), kernel * out(), group_in(), out(),
                      table.data() + (kernel - 1 - k) * group_in(), kernel * group_in(), executor);
  }
  PlaneProducts{.window = window_,
                .direction = Direction::kBack,
                .samples = Samples(block.input.size()),
                .groups = spec_.groups,
                .source_channels = group_out(),
                .target_channels = group_in(),
                .source = output_,
                .target = input_,
                .table = table.data(),
                .group_step = group_out() * kernel * group_in(),
                .row_step = group_in(),
                .start = nullptr}
      .Run(block.grad_output.data(), block.grad_input.data(), executor);
}

int64_t Conv2dLayer::ByteSize() const {
  return sizeof(*this) + name().size() +
         static_cast<int64_t>((spec_.weight.size() + spec_.bias.size()) * sizeof(float));
}

}  // namespace spikeserve

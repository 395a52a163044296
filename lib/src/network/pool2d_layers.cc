#include "network/pool2d_layers.h"

#include <algorithm>
#include <limits>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "spikeserve/compute/field_error.h"
#include "stop_check.h"

namespace spikeserve {
namespace {

// Windows that are computed together: of a row.
constexpr int64_t kMaxColumns = 1 << 12;

// The part of a plane's axis that a window covers.
Range CoveredBy(const AxisWindow& window, int64_t position, int64_t length) {
  const int64_t begin = position * window.stride - window.padding;
  return {std::max<int64_t>(0, begin), std::min(length, begin + window.kernel)};
}

// Those of the kernel's indices that lie on the plane for one of the windows.
Range OnPlane(const AxisWindow& window, int64_t length, Range windows) {
  return {std::max<int64_t>(0, window.padding - (windows.end - 1) * window.stride),
          std::min(window.kernel, length + window.padding - windows.begin * window.stride)};
}

// Calls body(from, begin, end, stride) for each of the kernel's columns `kernel`, from the first to the last: for the
// windows begin <= o < end, of `windows`, it lies on the plane's column from + o * stride. The stride is a constant
// where it is a small one.
template <class Body>
void ForEachColumn(const AxisWindow& window, int64_t length, Range windows, Range kernel, Body body) {
  const auto run = [&](auto stride) {
    for (int64_t k = kernel.begin; k < kernel.end; ++k) {
      const int64_t from = k - window.padding;
      const int64_t begin = std::max(windows.begin, from >= 0 ? 0 : (-from + stride - 1) / stride);
      const int64_t end = std::min(windows.end, (length - 1 - from) / stride + 1);
      if (begin < end) body(from, begin, end, stride);
    }
  };
  switch (window.stride) {
    case 1:
      return run(std::integral_constant<int64_t, 1>());
    case 2:
      return run(std::integral_constant<int64_t, 2>());
    default:
      return run(window.stride);
  }
}

// Calls body(y, from, begin, end, stride) for each of the plane's rows y that the windows `columns` of row `row` of the
// outputs cover, and there as ForEachColumn does. False where the executor has stopped.
template <class Body>
bool ForEachRow(const Window& window, Extent input, int64_t row, Range columns, StopCheck& stop, Body body) {
  // Each takes longer than a multiplication where the stride is not 1.
  constexpr int64_t kWork = 4;
  const Range rows = CoveredBy(window.height, row, input.height);
  const Range kernel = OnPlane(window.width, input.width, columns);
  // A division costs as much as a narrow kernel.
  const int64_t row_work = kWork * columns.size() * kernel.size();
  const int64_t part =
      row_work <= StopCheck::kCostPerQuestion ? kernel.size() : StopCheck::kCostPerQuestion / (kWork * columns.size());
  for (int64_t y = rows.begin; y < rows.end; ++y) {
    for (int64_t k = kernel.begin; k < kernel.end; k += part) {
      const Range part_of_kernel = {k, std::min(k + part, kernel.end)};
      if (stop.After(kWork * columns.size() * part_of_kernel.size())) return false;
      ForEachColumn(window.width, input.width, columns, part_of_kernel,
                    [&](int64_t from, int64_t begin, int64_t end, auto stride) { body(y, from, begin, end, stride); });
    }
  }
  return true;
}

// NaN is above all numbers.
bool IsAbove(float value, float maximum) { return value > maximum || value != value; }

}  // namespace

Pool2dLayer::Pool2dLayer(std::string name, Extent kernel, std::optional<Extent> stride, Extent padding)
    : NetworkLayer(std::move(name)), window_(kernel, stride.value_or(kernel), padding, {1, 1}) {}

absl::Status Pool2dLayer::Check(std::string_view field, KnownShape& shape) const {
  const std::string prefix(field);
  const auto& [height, width] = window_;
  const Extent padding = {height.padding, width.padding};
  if (absl::Status s = CheckExtent(prefix + ".kernel", {height.kernel, width.kernel}, 1); !s.ok()) return s;
  if (absl::Status s = CheckExtent(prefix + ".stride", {height.stride, width.stride}, 1); !s.ok()) return s;
  if (absl::Status s = CheckExtent(prefix + ".padding", padding, 0); !s.ok()) return s;
  if (2 * height.padding > height.kernel || 2 * width.padding > width.kernel) {
    return InvalidField(prefix + ".padding", ExtentString(padding),
                        absl::StrCat("at most half of the kernel ", ExtentString({height.kernel, width.kernel})));
  }
  if (absl::Status s = CheckPlanes(prefix, shape); !s.ok()) return s;
  return Slide(prefix + ".kernel", window_, shape.has_value() ? shape->front() : kAnyLength, shape);
}

absl::StatusOr<Shape> Pool2dLayer::OutputShape(const Shape& input) const {
  if (!Fits(window_, input)) {
    return WrongInput(input, absl::StrCat("[batch, channels, height, width] of ", FittingPlanes(window_)));
  }
  const auto [height, width] = window_.Output(PlaneOf(input));
  return Shape{input[0], input[1], height, width};
}

void Pool2dLayer::SetStep(const Shape& input, bool) {
  input_ = PlaneOf(input);
  output_ = window_.Output(input_);
}

int64_t Pool2dLayer::Planes(size_t input_elements) const {
  return static_cast<int64_t>(input_elements) / input_plane();
}

int64_t Pool2dLayer::covered() const {
  return std::min(window_.height.kernel, input_.height) * std::min(window_.width.kernel, input_.width);
}

double Pool2dLayer::StepWork(const Shape& input, const Shape& output) const {
  const Extent plane = PlaneOf(input);
  const double covered = static_cast<double>(std::min(window_.height.kernel, plane.height)) *
                         static_cast<double>(std::min(window_.width.kernel, plane.width));
  return 4 * (Elements(input) + Elements(output) * covered);
}

template <class Body>
void Pool2dLayer::ForEachOutput(int64_t planes, Executor& executor, Body body) const {
  const int64_t work = output_.width * std::min<int64_t>(covered(), kElementGrain);
  executor.ParallelFor(planes * output_.height, 2 * kElementGrain / work + 1, [&](int64_t begin, int64_t end) {
    StopCheck stop(executor);
    int64_t plane = begin / output_.height;
    int64_t row = begin % output_.height;
    for (int64_t i = begin; i < end; ++i) {
      for (int64_t o = 0; o < output_.width; o += kMaxColumns) {
        const Range columns = {o, std::min(o + kMaxColumns, output_.width)};
        if (!body(plane, row, columns, stop)) return;
      }
      if (++row == output_.height) {
        ++plane;
        row = 0;
      }
    }
  });
}

template <class Body>
void Pool2dLayer::ForEachOutputBack(absl::Span<float> grad_input, Order order, Executor& executor, Body body) const {
  const int64_t grain = kElementGrain / std::max(input_plane(), output_plane()) + 1;
  const int64_t ranges = (output_.width + kMaxColumns - 1) / kMaxColumns;
  executor.ParallelFor(Planes(grad_input.size()), grain, [&](int64_t begin, int64_t end) {
    StopCheck stop(executor);
    for (int64_t plane = begin; plane < end; ++plane) {
      float* const zeros = grad_input.data() + plane * input_plane();
      const auto fill = [=](int64_t from, int64_t to) { std::fill(zeros + from, zeros + to, 0.0f); };
      if (!stop.ForPieces(input_plane(), fill)) return;
      for (int64_t row = 0; row < output_.height; ++row) {
        for (int64_t range = 0; range < ranges; ++range) {
          const int64_t first = (order == Order::kFromFirst ? range : ranges - 1 - range) * kMaxColumns;
          const Range columns = {first, std::min(first + kMaxColumns, output_.width)};
          if (!body(plane, row, columns, stop)) return;
        }
      }
    }
  });
}

void AvgPool2dLayer::Divide(int64_t row, Range columns, const float* sums, float* means) const {
  if (spec_.count_include_pad) {
    const float count = static_cast<float>(window_.kernel_size());
    for (int64_t o = 0; o < columns.size(); ++o) means[o] = sums[o] / count;
    return;
  }
  const Range rows = CoveredBy(window_.height, row, input_.height);
  for (int64_t o = 0; o < columns.size(); ++o) {
    const Range covered = CoveredBy(window_.width, columns.begin + o, input_.width);
    means[o] = sums[o] / static_cast<float>(rows.size() * covered.size());
  }
}

void AvgPool2dLayer::Forward(const ForwardBlock& block, Executor& executor) {
  ForEachOutput(Planes(block.input.size()), executor, [&](int64_t plane, int64_t row, Range columns, StopCheck& stop) {
    const float* in = block.input.data() + plane * input_plane();
    float* out = block.output.data() + plane * output_plane() + row * output_.width;
    std::fill(out + columns.begin, out + columns.end, 0.0f);
    const auto add = [&](int64_t y, int64_t from, int64_t first, int64_t last, auto stride) {
      const float* in_row = in + y * input_.width;
      for (int64_t o = first; o < last; ++o) out[o] += in_row[from + o * stride];
    };
    if (!ForEachRow(window_, input_, row, columns, stop, add)) return false;
    Divide(row, columns, out + columns.begin, out + columns.begin);
    return true;
  });
}

// An element adds up the shares of a row's windows from the last one to the first.
void AvgPool2dLayer::Backward(const BackwardBlock& block, bool, Executor& executor) {
  if (block.grad_input.empty()) return;
  ForEachOutputBack(block.grad_input, Order::kFromLast, executor,
                    [&](int64_t plane, int64_t row, Range columns, StopCheck& stop) {
                      float shares[kMaxColumns];
                      const float* grad_out = block.grad_output.data() + plane * output_plane() + row * output_.width;
                      float* grad_in = block.grad_input.data() + plane * input_plane();
                      Divide(row, columns, grad_out + columns.begin, shares);
                      return ForEachRow(window_, input_, row, columns, stop,
                                        [&](int64_t y, int64_t from, int64_t first, int64_t last, auto stride) {
                                          float* in_row = grad_in + y * input_.width;
                                          for (int64_t o = first; o < last; ++o)
                                            in_row[from + o * stride] += shares[o - columns.begin];
                                        });
                    });
}

void MaxPool2dLayer::Forward(const ForwardBlock& block, Executor& executor) {
  ForEachOutput(Planes(block.input.size()), executor, [&](int64_t plane, int64_t row, Range columns, StopCheck& stop) {
    const float* in = block.input.data() + plane * input_plane();
    float* out = block.output.data() + plane * output_plane() + row * output_.width;
    std::fill(out + columns.begin, out + columns.end, -std::numeric_limits<float>::infinity());
    return ForEachRow(window_, input_, row, columns, stop,
                      [&](int64_t y, int64_t from, int64_t first, int64_t last, auto stride) {
                        const float* in_row = in + y * input_.width;
                        for (int64_t o = first; o < last; ++o) {
                          const float value = in_row[from + o * stride];
                          out[o] = IsAbove(value, out[o]) ? value : out[o];
                        }
                      });
  });
}

void MaxPool2dLayer::Backward(const BackwardBlock& block, bool, Executor& executor) {
  if (block.grad_input.empty()) return;
  ForEachOutputBack(
      block.grad_input, Order::kFromFirst, executor, [&](int64_t plane, int64_t row, Range columns, StopCheck& stop) {
        // The maxima so far, and where they are.
        float maxima[kMaxColumns];
        int64_t places[kMaxColumns];
        const float* in = block.input.data() + plane * input_plane();
        const float* grad_out = block.grad_output.data() + plane * output_plane() + row * output_.width;
        float* grad_in = block.grad_input.data() + plane * input_plane();
        const Range rows = CoveredBy(window_.height, row, input_.height);
        for (int64_t o = columns.begin; o < columns.end; ++o) {
          const int64_t place = rows.begin * input_.width + CoveredBy(window_.width, o, input_.width).begin;
          places[o - columns.begin] = place;
          maxima[o - columns.begin] = in[place];
        }
        const auto find = [&](int64_t y, int64_t from, int64_t first, int64_t last, auto stride) {
          for (int64_t o = first; o < last; ++o) {
            const int64_t place = y * input_.width + from + o * stride;
            float& maximum = maxima[o - columns.begin];
            int64_t& place_of_maximum = places[o - columns.begin];
            // Among NaNs the last one, as in PyTorch.
            const bool above = IsAbove(in[place], maximum);
            maximum = above ? in[place] : maximum;
            place_of_maximum = above ? place : place_of_maximum;
          }
        };
        if (!ForEachRow(window_, input_, row, columns, stop, find)) return false;
        for (int64_t o = columns.begin; o < columns.end; ++o) grad_in[places[o - columns.begin]] += grad_out[o];
        return true;
      });
}

}  // namespace spikeserve

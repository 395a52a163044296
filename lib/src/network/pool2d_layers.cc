#include "network/pool2d_layers.h"

#include <algorithm>
#include <limits>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "spikeserve/compute/field_error.h"

namespace spikeserve {
namespace {

// The part of a plane's axis that a window covers.
struct Covered {
  int64_t begin;
  int64_t end;
};
Covered CoveredBy(const AxisWindow& window, int64_t position, int64_t length) {
  const int64_t begin = position * window.stride - window.padding;
  return {std::max<int64_t>(0, begin), std::min(length, begin + window.kernel)};
}

// Calls body(from, begin, end, stride) for each of the kernel's columns that meets the plane's, from the first to the
// last: for the windows begin <= o < end it lies on the plane's column from + o * stride. The stride is a constant
// where it is a small one.
template <class Body>
void ForEachColumn(const AxisWindow& window, int64_t length, int64_t windows, Body body) {
  const auto run = [&](auto stride) {
    const int64_t last = std::min(window.kernel - 1, length - 1 + window.padding);
    for (int64_t k = std::max<int64_t>(0, window.padding - (windows - 1) * stride); k <= last; ++k) {
      const int64_t from = k - window.padding;
      const int64_t begin = from >= 0 ? 0 : (-from + stride - 1) / stride;
      const int64_t end = std::min(windows, (length - 1 - from) / stride + 1);
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

// Calls body(y, from, begin, end, stride) for each of the plane's rows y that the windows of row `row` of the outputs
// cover, and there as ForEachColumn does.
template <class Body>
void ForEachRow(const Window& window, Extent input, Extent output, int64_t row, Body body) {
  const Covered rows = CoveredBy(window.height, row, input.height);
  for (int64_t y = rows.begin; y < rows.end; ++y) {
    ForEachColumn(window.width, input.width, output.width,
                  [&](int64_t from, int64_t begin, int64_t end, auto stride) { body(y, from, begin, end, stride); });
  }
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

int64_t Pool2dLayer::PlaneGrain() const { return kElementGrain / std::max(input_plane(), output_plane()) + 1; }

void AvgPool2dLayer::Divide(int64_t row, const float* sums, float* means) const {
  if (spec_.count_include_pad) {
    const float count = static_cast<float>(window_.kernel_size());
    for (int64_t o = 0; o < output_.width; ++o) means[o] = sums[o] / count;
    return;
  }
  const Covered rows = CoveredBy(window_.height, row, input_.height);
  for (int64_t o = 0; o < output_.width; ++o) {
    const Covered columns = CoveredBy(window_.width, o, input_.width);
    means[o] = sums[o] / static_cast<float>((rows.end - rows.begin) * (columns.end - columns.begin));
  }
}

void AvgPool2dLayer::Forward(const ForwardBlock& block, Executor& executor) {
  executor.ParallelFor(Planes(block.input.size()), PlaneGrain(), [&](int64_t begin, int64_t end) {
    for (int64_t plane = begin; plane < end; ++plane) {
      const float* in = block.input.data() + plane * input_plane();
      float* out = block.output.data() + plane * output_plane();
      for (int64_t row = 0; row < output_.height; ++row, out += output_.width) {
        std::fill_n(out, output_.width, 0.0f);
        ForEachRow(window_, input_, output_, row,
                   [&](int64_t y, int64_t from, int64_t first, int64_t last, auto stride) {
                     const float* in_row = in + y * input_.width;
                     for (int64_t o = first; o < last; ++o) out[o] += in_row[from + o * stride];
                   });
        Divide(row, out, out);
      }
    }
  });
}

void AvgPool2dLayer::Backward(const BackwardBlock& block, bool, Executor& executor) {
  if (block.grad_input.empty()) return;
  executor.ParallelFor(Planes(block.grad_input.size()), PlaneGrain(), [&](int64_t begin, int64_t end) {
    std::vector<float> shares(output_.width);
    for (int64_t plane = begin; plane < end; ++plane) {
      float* grad_in = block.grad_input.data() + plane * input_plane();
      std::fill_n(grad_in, input_plane(), 0.0f);
      for (int64_t row = 0; row < output_.height; ++row) {
        Divide(row, block.grad_output.data() + plane * output_plane() + row * output_.width, shares.data());
        ForEachRow(window_, input_, output_, row,
                   [&](int64_t y, int64_t from, int64_t first, int64_t last, auto stride) {
                     float* in_row = grad_in + y * input_.width;
                     for (int64_t o = first; o < last; ++o) in_row[from + o * stride] += shares[o];
                   });
      }
    }
  });
}

void MaxPool2dLayer::Forward(const ForwardBlock& block, Executor& executor) {
  executor.ParallelFor(Planes(block.input.size()), PlaneGrain(), [&](int64_t begin, int64_t end) {
    for (int64_t plane = begin; plane < end; ++plane) {
      const float* in = block.input.data() + plane * input_plane();
      float* out = block.output.data() + plane * output_plane();
      for (int64_t row = 0; row < output_.height; ++row, out += output_.width) {
        std::fill_n(out, output_.width, -std::numeric_limits<float>::infinity());
        ForEachRow(window_, input_, output_, row,
                   [&](int64_t y, int64_t from, int64_t first, int64_t last, auto stride) {
                     const float* in_row = in + y * input_.width;
                     for (int64_t o = first; o < last; ++o) {
                       const float value = in_row[from + o * stride];
                       out[o] = IsAbove(value, out[o]) ? value : out[o];
                     }
                   });
      }
    }
  });
}

void MaxPool2dLayer::Backward(const BackwardBlock& block, bool, Executor& executor) {
  if (block.grad_input.empty()) return;
  executor.ParallelFor(Planes(block.input.size()), PlaneGrain(), [&](int64_t begin, int64_t end) {
    // Of a row of outputs: the maxima so far, and where they are.
    std::vector<float> maxima(output_.width);
    std::vector<int64_t> places(output_.width);
    for (int64_t plane = begin; plane < end; ++plane) {
      const float* in = block.input.data() + plane * input_plane();
      const float* grad_out = block.grad_output.data() + plane * output_plane();
      float* grad_in = block.grad_input.data() + plane * input_plane();
      std::fill_n(grad_in, input_plane(), 0.0f);
      for (int64_t row = 0; row < output_.height; ++row, grad_out += output_.width) {
        const Covered rows = CoveredBy(window_.height, row, input_.height);
        for (int64_t o = 0; o < output_.width; ++o) {
          places[o] = rows.begin * input_.width + CoveredBy(window_.width, o, input_.width).begin;
          maxima[o] = in[places[o]];
        }
        ForEachRow(window_, input_, output_, row,
                   [&](int64_t y, int64_t from, int64_t first, int64_t last, auto stride) {
                     for (int64_t o = first; o < last; ++o) {
                       const int64_t place = y * input_.width + from + o * stride;
                       // Among NaNs the last one, as in PyTorch.
                       const bool above = IsAbove(in[place], maxima[o]);
                       maxima[o] = above ? in[place] : maxima[o];
                       places[o] = above ? place : places[o];
                     }
                   });
        for (int64_t o = 0; o < output_.width; ++o) grad_in[places[o]] += grad_out[o];
      }
    }
  });
}

}  // namespace spikeserve

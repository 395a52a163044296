#include "plot/plot.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string_view>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "plot/gnuplot.h"
#include "spikeserve/compute/field_error.h"

namespace spikeserve::plot {
namespace {

// Around the axes, for tics, labels and the title, in pixels.
constexpr int kLeft = 84, kRight = 28, kRightOfColorBar = 116, kTop = 48, kBottom = 64;
constexpr double kXTicsApart = 56, kYTicsApart = 28, kColorTicsApart = 48;
constexpr int kColorBarGap = 20, kColorBarWidth = 20, kColorLabelGap = 100;

// Perceptually uniform, from dark to light.
constexpr char kViridis[] =
    "0 '#440154', 1 '#472c7a', 2 '#3b518b', 3 '#2c718e', 4 '#21908d', 5 '#27ad81', 6 '#5cc863', 7 '#aadc32', "
    "8 '#fde725'";
// White for none, and one spike is already clear to see.
constexpr char kSpikeCounts[] = "0 '#ffffff', 0.001 '#86a9d1', 0.3 '#5b86b8', 1 '#0b1f45'";
constexpr char kSpikeColor[] = "#173a6d";

// One axis: `cells` marks or colours next to each other, each for `step` steps, neurons, rows or columns of data (the
// last may lack some), on `pixels` of the canvas from `start`, of `canvas` in all.
struct Axis {
  int64_t length = 0, step = 1, cells = 0;
  double start = 0, pixels = 0;
  int canvas = 0;

  double cell_pixels() const { return pixels / cells; }
  double end() const { return static_cast<double>(cells * step) - 0.5; }
};

struct Axes {
  Axis x, y;
  bool y_down;
};

// The same for whole things.
double WholeTicStep(int64_t count, double pixels, double pixels_apart) {
  return std::max(TicStep(static_cast<double>(count), pixels, pixels_apart), 1.0);
}

// Lays `length` out on `pixels`, or, where no canvas is given, about as many. Where there is less than a pixel for
// each, cells are groups of several. Where there is more, all get the same number of whole pixels, to look alike,
// unless much of a given canvas were lost by that.
Axis Lay(int64_t length, double pixels, int canvas, int before, int after) {
  Axis axis;
  axis.length = length;
  axis.step = std::max<int64_t>(static_cast<int64_t>(std::ceil(length / pixels)), 1);
  axis.cells = (length + axis.step - 1) / axis.step;
  axis.pixels = std::floor(pixels / axis.cells) * axis.cells;
  if (canvas != 0 && axis.pixels < 0.8 * pixels) axis.pixels = pixels;
  axis.canvas = canvas != 0 ? canvas : static_cast<int>(axis.pixels) + before + after;
  axis.start = before + std::floor((axis.canvas - before - after - axis.pixels) / 2);
  return axis;
}

// Axes of `width` x `height` pixels, or, where `options` give the size of the picture, such as fit there: of the same
// aspect if `keep_aspect`.
Axes Place(int64_t columns, int64_t rows, double width, double height, bool keep_aspect, int right,
           const PlotOptions& options) {
  constexpr double kAny = std::numeric_limits<double>::infinity();
  double scale_x = options.width == 0 ? kAny : (options.width - kLeft - right) / width;
  double scale_y = options.height == 0 ? kAny : (options.height - kTop - kBottom) / height;
  if (keep_aspect) scale_x = scale_y = std::min(scale_x, scale_y);
  if (scale_x != kAny) width = std::max(width * scale_x, 1.0);
  if (scale_y != kAny) height = std::max(height * scale_y, 1.0);
  return {Lay(columns, width, options.width, kLeft, right), Lay(rows, height, options.height, kBottom, kTop), false};
}

absl::Status CheckShape(std::string_view field, const Shape& shape, std::string_view needed) {
  if (shape.size() == 2 && shape[0] >= 1 && shape[1] >= 1) return absl::OkStatus();
  return InvalidField(field, "shape " + ShapeString(shape), needed);
}

// The commands before the plot: everything but the colours.
std::string Preamble(const Axes& axes, const PlotOptions& options, const std::string& path) {
  const Axis &x = axes.x, &y = axes.y;
  std::string commands = Canvas(x.canvas, y.canvas, options, path);
  absl::StrAppendFormat(&commands, "set lmargin at screen %.9f\nset rmargin at screen %.9f\n", x.start / x.canvas,
                        (x.start + x.pixels) / x.canvas);
  absl::StrAppendFormat(&commands, "set bmargin at screen %.9f\nset tmargin at screen %.9f\n", y.start / y.canvas,
                        (y.start + y.pixels) / y.canvas);
  const double x_step = WholeTicStep(x.length, x.pixels, kXTicsApart);
  const double y_step = WholeTicStep(y.length, y.pixels, kYTicsApart);
  // The last tic is told exactly: gnuplot would go a little beyond a limit.
  absl::StrAppendFormat(&commands, "set xtics out nomirror 0,%.0f,%.0f\nset ytics out nomirror 0,%.0f,%.0f\n", x_step,
                        std::floor((x.length - 1) / x_step) * x_step, y_step,
                        std::floor((y.length - 1) / y_step) * y_step);
  absl::StrAppendFormat(&commands, "set xrange [-0.5:%.1f]\nset yrange [%.1f:%.1f]\n", x.end(),
                        axes.y_down ? y.end() : -0.5, axes.y_down ? -0.5 : y.end());
  return commands;
}

// The sum, or mean, of `values` in each cell of `axes`, row by row of the picture. The value at (x, y) is
// values[x * x_stride + y * y_stride].
std::vector<double> Group(const std::vector<double>& values, int64_t x_stride, int64_t y_stride, const Axes& axes,
                          bool mean) {
  std::vector<double> cells;
  cells.reserve(axes.x.cells * axes.y.cells);
  for (int64_t top = 0; top < axes.y.length; top += axes.y.step) {
    const int64_t bottom = std::min(top + axes.y.step, axes.y.length);
    for (int64_t left = 0; left < axes.x.length; left += axes.x.step) {
      const int64_t right = std::min(left + axes.x.step, axes.x.length);
      double sum = 0;
      for (int64_t y = top; y < bottom; ++y) {
        for (int64_t x = left; x < right; ++x) sum += values[x * x_stride + y * y_stride];
      }
      cells.push_back(mean ? sum / static_cast<double>((bottom - top) * (right - left)) : sum);
    }
  }
  return cells;
}

struct ColorScale {
  std::string_view palette;
  double low, high, tic_step;
};

// Draws a colour for each cell, and a colour bar.
absl::Status DrawCells(const std::vector<double>& cells, const Axes& axes, const ColorScale& scale,
                       const PlotOptions& options, const std::string& path) {
  const Axis &x = axes.x, &y = axes.y;
  std::string commands = Preamble(axes, options, path);
  absl::StrAppendFormat(&commands, "set palette defined (%s)\nset cbrange [%.17g:%.17g]\n", scale.palette, scale.low,
                        scale.high);
  absl::StrAppendFormat(&commands, "set cbtics out nomirror %.17g\nset format cb '%%.6g'\n", scale.tic_step);
  // gnuplot would put a label of the colour bar across its tics.
  absl::StrAppendFormat(&commands, "set label %s at screen %.9f,%.9f center rotate by 90\n",
                        Quoted(options.value_label), (x.start + x.pixels + kColorLabelGap) / x.canvas,
                        (y.start + y.pixels / 2) / y.canvas);
  absl::StrAppendFormat(&commands, "set colorbox user origin screen %.9f,%.9f size screen %.9f,%.9f\n",
                        (x.start + x.pixels + kColorBarGap) / x.canvas, y.start / y.canvas,
                        static_cast<double>(kColorBarWidth) / x.canvas, y.pixels / y.canvas);

  // gnuplot draws no image of a single row or column, so that one is drawn as two halves.
  const int64_t x_copies = x.cells == 1 ? 2 : 1, y_copies = y.cells == 1 ? 2 : 1;
  std::vector<double> copies;
  for (int64_t copy = 0; copy < y_copies; ++copy) {
    for (const double cell : cells) copies.insert(copies.end(), x_copies, cell);
  }
  const double dx = static_cast<double>(x.step) / x_copies, dy = static_cast<double>(y.step) / y_copies;
  absl::StrAppendFormat(&commands,
                        "plot '-' binary array=(%d,%d) dx=%.1f dy=%.1f origin=(%.2f,%.2f) format='%%float64' "
                        "with image notitle\n",
                        x.cells * x_copies, y.cells * y_copies, dx, dy, (dx - 1) / 2, (dy - 1) / 2);
  return Draw(std::move(commands), Bytes(copies), path);
}

// Draws an upright mark for each spike, spikes[t * neurons + n].
absl::Status DrawMarks(const std::vector<double>& spikes, const Axes& axes, const PlotOptions& options,
                       const std::string& path) {
  std::vector<int32_t> marks;  // t, n; fewer of each than pixels.
  for (int64_t i = 0; i < static_cast<int64_t>(spikes.size()); ++i) {
    if (spikes[i] == 0) continue;
    marks.push_back(static_cast<int32_t>(i / axes.y.length));
    marks.push_back(static_cast<int32_t>(i % axes.y.length));
  }
  // Upright and slim where there is room, else a dot.
  const double column = axes.x.cell_pixels(), row = axes.y.cell_pixels();
  const double half_width = std::clamp(0.3 * column, 0.5, std::clamp(0.15 * row, 0.9, 2.0)) / column;
  const double half_height = std::max(0.4 * row, 0.9) / row;
  std::string commands = Preamble(axes, options, path);
  if (marks.empty()) {
    commands += "plot NaN notitle\n";
  } else {
    absl::StrAppendFormat(&commands,
                          "plot '-' binary record=(%d) format='%%int32' using 1:2:(%.9f):(%.9f) with boxxyerror "
                          "fill solid 1 noborder linecolor rgb '%s' notitle\n",
                          marks.size() / 2, half_width, half_height, kSpikeColor);
  }
  return Draw(std::move(commands), Bytes(marks), path);
}

PlotOptions WithDefaults(PlotOptions options, std::string_view x_label, std::string_view y_label) {
  if (options.x_label.empty()) options.x_label = x_label;
  if (options.y_label.empty()) options.y_label = y_label;
  return options;
}

}  // namespace

absl::Status PlotRaster(const TensorView& spikes, const PlotOptions& user_options, const std::string& path) {
  if (absl::Status status = CheckOptions(user_options, path); !status.ok()) return status;
  if (absl::Status status = CheckShape("spikes", spikes.shape(), "[T, N] with a step and a neuron at least");
      !status.ok()) {
    return status;
  }
  const std::vector<double> values = Tensor(spikes).ToDoubles();
  const auto other = std::find_if(values.begin(), values.end(), [](double value) { return value != 0 && value != 1; });
  if (other != values.end()) return InvalidField("spikes", absl::StrCat("value ", *other), "0 or 1");

  PlotOptions options = WithDefaults(user_options, "time step", "neuron");
  const int64_t steps = spikes.shape()[0], neurons = spikes.shape()[1];
  const double width = static_cast<double>(std::clamp<int64_t>(steps * 16, 480, 1200));
  const double height = static_cast<double>(std::clamp<int64_t>(neurons * 16, 160, 720));
  Axes axes = Place(steps, neurons, width, height, /*keep_aspect=*/false, kRight, options);
  if (axes.x.step == 1 && axes.y.step == 1) return DrawMarks(values, axes, options, path);

  axes = Place(steps, neurons, width, height, /*keep_aspect=*/false, kRightOfColorBar, options);
  const std::vector<double> cells = Group(values, neurons, 1, axes, /*mean=*/false);
  const double most = std::max(*std::max_element(cells.begin(), cells.end()), 1.0);
  if (options.value_label.empty()) {
    options.value_label = absl::StrFormat("spikes (in %d time step%s of %d neuron%s)", axes.x.step,
                                          axes.x.step == 1 ? "" : "s", axes.y.step, axes.y.step == 1 ? "" : "s");
  }
  const double tic_step = WholeTicStep(static_cast<int64_t>(most), axes.y.pixels, kColorTicsApart);
  return DrawCells(cells, axes, {kSpikeCounts, 0, most, tic_step}, options, path);
}

absl::Status PlotHeatmap(const TensorView& matrix, const PlotOptions& options, const std::string& path) {
  if (absl::Status status = CheckOptions(options, path); !status.ok()) return status;
  if (absl::Status status = CheckShape("matrix", matrix.shape(), "[N, K] with a row and a column at least");
      !status.ok()) {
    return status;
  }
  // The cells are square unless the picture were too slim; a large matrix gets a pixel for each.
  const double rows = static_cast<double>(matrix.shape()[0]), columns = static_cast<double>(matrix.shape()[1]);
  const double aspect = std::clamp(columns / rows, 0.25, 4.0);
  const double longer = std::clamp(std::max(rows, columns), 640.0, 2400.0);
  Axes axes = Place(matrix.shape()[1], matrix.shape()[0], longer * std::min(aspect, 1.0),
                    longer / std::max(aspect, 1.0), /*keep_aspect=*/true, kRightOfColorBar, options);
  axes.y_down = true;
  const std::vector<double> cells = Group(Tensor(matrix).ToDoubles(), 1, matrix.shape()[1], axes, /*mean=*/true);

  double low = std::numeric_limits<double>::infinity(), high = -low;
  for (const double value : cells) {
    if (!std::isfinite(value)) continue;
    low = std::min(low, value);
    high = std::max(high, value);
  }
  if (low > high) low = high = 0;  // No value at all.
  if (low == high) {
    const double margin = std::max(0.5, 0.01 * std::abs(low));
    low -= margin;
    high += margin;
  }
  return DrawCells(cells, axes, {kViridis, low, high, TicStep(high - low, axes.y.pixels, kColorTicsApart)},
                   WithDefaults(options, "column", "row"), path);
}

}  // namespace spikeserve::plot

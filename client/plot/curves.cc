#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "plot/gnuplot.h"
#include "plot/plot.h"
#include "spikeserve/compute/field_error.h"

namespace spikeserve::plot {
namespace {

constexpr int kWidth = 800, kHeight = 500, kTicsApart = 70;
// With more points than this, their marks would hide the line.
constexpr size_t kMarked = 60;
// Told apart by all eyes (Okabe, Ito).
constexpr const char* kColors[] = {"#555555", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00"};

absl::Status CheckCurves(const std::vector<Curve>& curves) {
  if (curves.empty()) return InvalidField("curves", "none", "one at least");
  for (const Curve& curve : curves) {
    if (curve.x.empty() || curve.x.size() != curve.y.size()) {
      return InvalidField("curves", absl::StrCat(curve.x.size(), " x and ", curve.y.size(), " y of ", curve.label),
                          "as many of each, one at least");
    }
    const auto finite = [](double x) { return std::isfinite(x); };
    if (!std::all_of(curve.x.begin(), curve.x.end(), finite) || !std::is_sorted(curve.x.begin(), curve.x.end())) {
      return InvalidField("curves", absl::StrCat("x of ", curve.label), "finite and ascending numbers");
    }
    if (std::any_of(curve.y.begin(), curve.y.end(), [](double y) { return std::isinf(y); })) {
      return InvalidField("curves", absl::StrCat("an infinite y of ", curve.label), "numbers, or NaN for no point");
    }
    if (std::all_of(curve.y.begin(), curve.y.end(), [](double y) { return std::isnan(y); })) {
      return InvalidField("curves", absl::StrCat("no point of ", curve.label), "one at least");
    }
  }
  return absl::OkStatus();
}

// Of the values of the curves of one axis, with some room, also where all are the same.
std::string Range(const char* axis, const std::vector<Curve>& curves, bool right_axis) {
  double low = INFINITY, high = -INFINITY;
  for (const Curve& curve : curves) {
    if (curve.right_axis != right_axis) continue;
    for (const double y : curve.y) {
      if (std::isnan(y)) continue;
      low = std::min(low, y);
      high = std::max(high, y);
    }
  }
  if (low > high) return "";  // No curve.
  const double room = high > low ? 0.04 * (high - low) : std::max(0.5, 0.01 * std::abs(low));
  return absl::StrFormat("set %srange [%.17g:%.17g]\n", axis, low - room, high + room);
}

// None between whole numbers, such as epochs.
std::string XTics(const std::vector<Curve>& curves, double range, int width) {
  const auto whole = [](double x) { return x == std::floor(x); };
  const bool all_whole = std::all_of(curves.begin(), curves.end(), [&](const Curve& curve) {
    return std::all_of(curve.x.begin(), curve.x.end(), whole);
  });
  const double step = TicStep(range, width, kTicsApart);
  return absl::StrFormat("set xtics out nomirror %.17g\n", all_whole ? std::max(step, 1.0) : step);
}

}  // namespace

absl::Status PlotCurves(const std::vector<Curve>& curves, const PlotOptions& options, const std::string& path) {
  if (absl::Status status = CheckOptions(options, path); !status.ok()) return status;
  if (absl::Status status = CheckCurves(curves); !status.ok()) return status;
  const int width = options.width == 0 ? kWidth : options.width;
  const int height = options.height == 0 ? kHeight : options.height;
  std::string commands = Canvas(width, height, options, path);

  double first = INFINITY, last = -INFINITY;
  for (const Curve& curve : curves) {
    first = std::min(first, curve.x.front());
    last = std::max(last, curve.x.back());
  }
  const double room = last > first ? 0.02 * (last - first) : 1;
  absl::StrAppendFormat(&commands, "set xrange [%.17g:%.17g]\n", first - room, last + room);
  absl::StrAppend(&commands, XTics(curves, last - first + 2 * room, width), Range("y", curves, false),
                  Range("y2", curves, true));
  absl::StrAppend(&commands,
                  "set ytics out nomirror\nset grid linecolor rgb '#dddddd' linetype 1\n"
                  "set key inside right center vertical samplen 2 opaque\n");
  if (std::any_of(curves.begin(), curves.end(), [](const Curve& curve) { return curve.right_axis; })) {
    absl::StrAppendFormat(&commands, "set y2tics out nomirror\nset y2label %s\n", Quoted(options.value_label));
  }

  std::string data;
  for (size_t i = 0; i < curves.size(); ++i) {
    const Curve& curve = curves[i];
    std::vector<double> points;
    for (size_t k = 0; k < curve.x.size(); ++k) points.insert(points.end(), {curve.x[k], curve.y[k]});
    absl::StrAppend(&data, absl::string_view(Bytes(points).data(), Bytes(points).size()));
    absl::StrAppendFormat(&commands,
                          "%s '-' binary record=%d format='%%float64%%float64' using 1:2 axes x1%s with %s title %s",
                          i == 0 ? "plot" : ",", curve.x.size(), curve.right_axis ? "y2" : "y1",
                          absl::StrFormat("%s linewidth 1.5 linecolor rgb '%s'",
                                          curve.x.size() > kMarked ? "lines" : "linespoints pointtype 7 pointsize 0.5",
                                          kColors[i % std::size(kColors)]),
                          Quoted(curve.label));
  }
  return Draw(commands + "\n", data, path);
}

}  // namespace spikeserve::plot

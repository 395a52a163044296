// Pictures of spike trains, matrices and curves, drawn by gnuplot (Debian's gnuplot-nox), which need not be there to
// link.
//
// The file's ending says what is written: ".png" or ".svg". An existing file is replaced as a whole, or, on any error,
// left as it is. Errors: INVALID_ARGUMENT for the wrong ending, size, shape or values; FAILED_PRECONDITION where
// gnuplot is not installed; INTERNAL with gnuplot's own words where it fails; those of writing the file. Thread-safe.

#ifndef SPIKESERVE_PLOT_PLOT_H_
#define SPIKESERVE_PLOT_PLOT_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "spikeserve/compute/tensor.h"

namespace spikeserve::plot {

struct PlotOptions {
  std::string title = "";        // Shown as it is: nothing in it is markup. So are the labels.
  std::string x_label = "";      // Empty: "time step" for a raster, "column" for a heatmap.
  std::string y_label = "";      // Empty: "neuron" for a raster, "row" for a heatmap.
  std::string value_label = "";  // What the colours of a heatmap are, or the right axis of curves, with its unit.
  int width = 0;                 // Of the picture in pixels, 300 to 10000; 0: chosen to suit the shape.
  int height = 0;                // The same.
};

// The spike raster of `spikes` [T, N], T and N >= 1, 0/1 of any dtype: time steps to the right, neurons upwards, a mark
// for each spike. Where there are more steps or neurons than pixels, a mark stands for a group of them and its colour
// for their number of spikes.
absl::Status PlotRaster(const TensorView& spikes, const PlotOptions& options, const std::string& path);

// The cells of `matrix` [N, K], N and K >= 1, any dtype, coloured by value; row 0 is at the top. NaN stays blank, an
// infinity gets the colour of the end of the scale. Where there are more cells than pixels, one shows the mean of a
// group.
absl::Status PlotHeatmap(const TensorView& matrix, const PlotOptions& options, const std::string& path);

// A line through points.
struct Curve {
  std::string label = {};
  // As many of each, one at least; x finite and ascending, y NaN where there is no point.
  std::vector<double> x = {};
  std::vector<double> y = {};
  // Its values are those of the axis on the right.
  bool right_axis = false;
};

// The curves, one at least, in a frame with up to two axes for y, and a key.
absl::Status PlotCurves(const std::vector<Curve>& curves, const PlotOptions& options, const std::string& path);

}  // namespace spikeserve::plot

#endif  // SPIKESERVE_PLOT_PLOT_H_

// How pictures are told to gnuplot. Internal to this folder.

#ifndef SPIKESERVE_PLOT_GNUPLOT_H_
#define SPIKESERVE_PLOT_GNUPLOT_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "plot/plot.h"

namespace spikeserve::plot {

// `text` as gnuplot's literal string, in which only the quote is special; bytes that are no characters become blanks.
std::string Quoted(std::string_view text);

// The distance between tics on `pixels` for a range of this length, 1, 2 or 5 times a power of ten, with room for
// `pixels_apart` between two.
double TicStep(double range, double pixels, double pixels_apart);

bool IsSvg(const std::string& path);

// Refuses a file's ending and sizes that are out of range.
absl::Status CheckOptions(const PlotOptions& options, const std::string& path);

// The commands that come first: the picture's kind and size, its title and labels.
std::string Canvas(int width, int height, const PlotOptions& options, const std::string& path);

template <typename T>
std::string_view Bytes(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

// Draws: `data` in gnuplot's stdin behind the commands, whose last reads it.
absl::Status Draw(std::string commands, std::string_view data, const std::string& path);

}  // namespace spikeserve::plot

#endif  // SPIKESERVE_PLOT_GNUPLOT_H_

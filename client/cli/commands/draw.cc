// raster and heatmap.

#include <cstring>
#include <optional>

#include "absl/strings/str_cat.h"
#include "cli/commands/commands.h"
#include "cli/flags.h"
#include "plot/plot.h"
#include "spikeserve/compute/field_error.h"
#include "status_macros.h"

namespace spikeserve::cli {
namespace {

// The matrix [rows, features] of one sample of `array`, which is [rows, batch, features ...]. (No file holds BIT
// arrays.)
absl::StatusOr<Tensor> TakeSample(const Tensor& array, int64_t sample) {
  const Shape& shape = array.shape();
  if (shape.size() < 3) {
    return InvalidField("--sample", absl::StrCat("an array of shape ", ShapeString(shape)), "[T, batch, features ...]");
  }
  if (sample < 0 || sample >= shape[1]) {
    return InvalidField("--sample", absl::StrCat(sample), absl::StrCat("0 to ", shape[1] - 1));
  }
  if (array.size() == 0) {
    return InvalidField("--sample", absl::StrCat("an array of shape ", ShapeString(shape)), "lengths >= 1");
  }
  Tensor matrix(array.dtype(), {shape[0], array.size() / shape[0] / shape[1]});
  const int64_t row_bytes = matrix.byte_size() / shape[0];
  for (int64_t t = 0; t < shape[0]; ++t) {
    std::memcpy(static_cast<char*>(matrix.data()) + t * row_bytes,
                static_cast<const char*>(array.data()) + (t * shape[1] + sample) * row_bytes, row_bytes);
  }
  return matrix;
}

using Plot = absl::Status (*)(const TensorView& matrix, const plot::PlotOptions& options, const std::string& path);

template <Plot plot>
class DrawCommand : public Command {
 public:
  explicit DrawCommand(const char* array_help) : array_help_(array_help) {}

  void AddOptions(CLI::App& app) override {
    array_.AddTo(app, "ARRAY", array_help_)->required();
    app.add_option("--sample", sample_, "Draw this sample of a batch, counted from 0")->type_name("INT");
    app.add_option("--title", options_.title, "Above the picture");
    app.add_option("--x-label", options_.x_label, "Below the picture");
    app.add_option("--y-label", options_.y_label, "Left of the picture");
    app.add_option("--width", options_.width, "In pixels (default: to suit the shape)")->type_name("INT");
    app.add_option("--height", options_.height, "In pixels (default: to suit the shape)")->type_name("INT");
    AddOutput(app, path_, {".png", ".svg"}, "The picture to write, PNG or SVG by its ending")->required();
  }

  absl::StatusOr<Report> Run(const Caller&) override {
    SPIKESERVE_ASSIGN_OR_RETURN(Tensor matrix, array_.Read());
    if (sample_) {
      SPIKESERVE_ASSIGN_OR_RETURN(matrix, TakeSample(matrix, *sample_));
    }
    if (matrix.shape().size() > 2) {
      return absl::InvalidArgumentError(
          absl::StrCat("ARRAY: shape ", ShapeString(matrix.shape()), "; need a matrix, or --sample to draw one"));
    }
    SPIKESERVE_RETURN_IF_ERROR(plot(matrix, options_, path_));
    Report report;
    report.AddText("written", path_, absl::StrCat("wrote ", path_));
    return report;
  }

 protected:
  plot::PlotOptions options_;

 private:
  const char* array_help_;
  ArrayFlag array_;
  std::optional<int64_t> sample_;
  std::string path_;
};

struct RasterCommand final : DrawCommand<plot::PlotRaster> {
  RasterCommand() : DrawCommand("Spikes, 0/1 [T, N], or with --sample [T, batch, ...]") {}
};

struct HeatmapCommand final : DrawCommand<plot::PlotHeatmap> {
  HeatmapCommand() : DrawCommand("A matrix, or with --sample [rows, batch, ...]") {}

  void AddOptions(CLI::App& app) override {
    DrawCommand::AddOptions(app);
    app.add_option("--value-label", options_.value_label, "Beside the scale of colours");
  }
};

}  // namespace

CommandInfo Raster() {
  return Describe<RasterCommand>(kDrawing, "raster", "Draw a spike raster: time to the right, neurons upwards",
                                 "spikectl raster run.npz:output --sample 0 -o raster.png", Where::kHere,
                                 /*has_arrays=*/false);
}

CommandInfo Heatmap() {
  return Describe<HeatmapCommand>(kDrawing, "heatmap", "Draw a matrix, coloured by value",
                                  "spikectl heatmap similarity.npy --value-label similarity -o similarity.svg",
                                  Where::kHere, /*has_arrays=*/false);
}

}  // namespace spikeserve::cli

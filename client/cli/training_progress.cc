#include "cli/training_progress.h"

#include <iostream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "plot/plot.h"

namespace spikeserve::cli {

using train::Progress;

double SamplesPerSecond(const Progress& progress) {
  const double seconds = absl::ToDoubleSeconds(progress.run_time);
  return seconds > 0 ? static_cast<double>(progress.run_samples) / seconds : 0;
}

TrainingProgress::~TrainingProgress() {
  if (style_ == Style::kTerminal) std::cerr << "\r\033[K" << std::flush;
}

std::string TrainingProgress::Line(const Progress& progress) const {
  std::string line = absl::StrFormat("epoch %d/%d  loss %.4f  training %.2f %%", progress.epoch, epochs_, progress.loss,
                                     100 * progress.training_accuracy);
  if (progress.test_accuracy) absl::StrAppendFormat(&line, "  test %.2f %%", 100 * *progress.test_accuracy);
  absl::StrAppendFormat(&line, "  %.0f samples/s", SamplesPerSecond(progress));
  return line;
}

void TrainingProgress::Show(const Progress& progress) {
  if (style_ == Style::kLines && progress.epoch_ended) std::cerr << Line(progress) << "\n" << std::flush;
  if (style_ != Style::kTerminal) return;
  const absl::Time now = absl::Now();
  if (now - shown_ < absl::Milliseconds(100) && !progress.epoch_ended) return;
  shown_ = now;
  std::cerr << "\r" << Line(progress) << "\033[K" << std::flush;
}

Json TrainingHistory::ToJson() const {
  Json epochs = Json::array();
  for (const Progress& p : epochs_) {
    epochs.push_back({{"epoch", p.epoch}, {"loss", p.loss}, {"training_accuracy", p.training_accuracy}});
    if (p.test_accuracy) epochs.back()["test_accuracy"] = *p.test_accuracy;
  }
  return epochs;
}

absl::Status TrainingHistory::Draw(const std::string& path) const {
  plot::Curve loss{.label = "loss"}, training{.label = "accuracy in training"},
      test{.label = "accuracy on the test set"};
  training.right_axis = test.right_axis = true;
  const auto add = [](plot::Curve& curve, const Progress& p, double y) {
    curve.x.push_back(static_cast<double>(p.epoch));
    curve.y.push_back(y);
  };
  for (const Progress& p : epochs_) {
    add(loss, p, p.loss);
    add(training, p, 100 * p.training_accuracy);
    if (p.test_accuracy) add(test, p, 100 * *p.test_accuracy);
  }
  std::vector<plot::Curve> curves = {loss, training};
  if (!test.x.empty()) curves.push_back(test);
  return plot::PlotCurves(
      curves, {.title = "Learning curve", .x_label = "epoch", .y_label = "loss", .value_label = "accuracy in %"}, path);
}

}  // namespace spikeserve::cli

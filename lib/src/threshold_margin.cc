#include "spikeserve/compute/threshold_margin.h"

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "absl/strings/str_cat.h"
#include "spikeserve/compute/field_error.h"

namespace spikeserve {

absl::Status CheckThresholdMargin(const ThresholdMarginOptions& options) {
  const struct {
    const char* field;
    double value;
  } thresholds[] = {{"eval_threshold", options.eval_threshold},
                    {"threshold0", options.threshold0},
                    {"threshold1", options.threshold1}};
  for (const auto& [field, value] : thresholds) {
    if (std::isnan(value)) return InvalidField(field, "NaN", "a number");
  }
  return absl::OkStatus();
}

absl::Status TrainingThresholds(absl::Span<const double> label_one_hot, const ThresholdMarginOptions& options,
                                absl::Span<float> v_threshold, Executor& executor) {
  if (absl::Status status = CheckThresholdMargin(options); !status.ok()) return status;
  if (v_threshold.size() != label_one_hot.size()) {
    return InvalidField("v_threshold", absl::StrCat(v_threshold.size(), " elements"),
                        absl::StrCat("one for each of the ", label_one_hot.size(), " of label_one_hot"));
  }
  // So many labels are worth a task of their own.
  constexpr int64_t kLabelsPerTask = 1 << 17;
  const int64_t size = static_cast<int64_t>(label_one_hot.size());
  executor.ParallelFor(size, kLabelsPerTask, [&](int64_t begin, int64_t end) {
    std::transform(
        label_one_hot.begin() + begin, label_one_hot.begin() + end, v_threshold.begin() + begin,
        [&](double label) { return static_cast<float>(label == 1.0 ? options.threshold1 : options.threshold0); });
  });
  return absl::OkStatus();
}

}  // namespace spikeserve

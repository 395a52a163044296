#include "cli/training_data.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "cli/caller.h"
#include "file/file.h"
#include "npz/npz.h"
#include "spikeserve/compute/shape.h"
#include "status_macros.h"

namespace spikeserve::cli {
namespace {

bool IsArchive(const std::string& path) { return absl::EndsWith(path, ".npz"); }

}  // namespace

int64_t TrainingData::num_classes() const {
  return std::max(training.num_classes(), test ? test->num_classes() : int64_t{0});
}

void TrainingDataFlags::AddTo(CLI::App& app) {
  app.add_option("DATA", path_, "FILE.npz with inputs [N, features ...] and labels [N]")->required();
  app.add_option("--input-name", input_name_, "The inputs' name in the file")->type_name("NAME")->capture_default_str();
  app.add_option("--label-name", label_name_, "The labels': integers from 0 on")
      ->type_name("NAME")
      ->capture_default_str();
  app.add_option("--test", test_,
                 "What accuracy is told of: another FILE.npz, or so many samples of DATA, which are not trained on:\n"
                 "chosen by --seed, the same part of each class")
      ->type_name("N|FILE");
  app.add_flag("--time-dimension", time_dimension_,
               "Inputs are [N, T, features ...], spike trains or currents over time (default: constant currents)");
  app.add_option("--input-shape", input_shape_, "The shape of a sample (at a step), such as 1,8,8 (default: as it is)")
      ->type_name("INT,...")
      ->delimiter(',')
      ->expected(1, 8)
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 31).description(""));
  app.add_option("--input-scale", input_scale_, "What the inputs are multiplied by")
      ->type_name("NUMBER")
      ->capture_default_str();
}

absl::StatusOr<train::DataSet> TrainingDataFlags::ReadFile(const std::string& path, bool flatten) const {
  if (!IsArchive(path)) return UsageError(absl::StrCat("DATA: got ", path, "; need FILE.npz"));
  SPIKESERVE_ASSIGN_OR_RETURN(Tensor inputs, npz::ReadArray(absl::StrCat(path, ":", input_name_)));
  SPIKESERVE_ASSIGN_OR_RETURN(const Tensor labels, npz::ReadArray(absl::StrCat(path, ":", label_name_)));
  train::DataSetOptions options{.time_dimension = time_dimension_, .scale = input_scale_};
  options.features.assign(input_shape_.begin(), input_shape_.end());
  const Shape& shape = inputs.shape();
  const size_t first = time_dimension_ ? 2 : 1;
  if (flatten && options.features.empty() && shape.size() > first && inputs.size() > 0) {
    options.features = {*ElementCount(absl::MakeConstSpan(shape).subspan(first))};
  }
  absl::StatusOr<train::DataSet> data = train::MakeDataSet(std::move(inputs), labels, options);
  if (!data.ok()) return file::AtPath(path, data.status());
  return data;
}

absl::StatusOr<TrainingData> TrainingDataFlags::Read(bool flatten, uint64_t seed) const {
  SPIKESERVE_ASSIGN_OR_RETURN(train::DataSet all, ReadFile(path_, flatten));
  if (test_.empty()) return TrainingData{std::move(all), std::nullopt};
  if (IsArchive(test_)) {
    SPIKESERVE_ASSIGN_OR_RETURN(train::DataSet test, ReadFile(test_, flatten));
    if (test.features() != all.features()) {
      return absl::InvalidArgumentError(absl::StrCat(test_, ": samples of shape ", ShapeString(test.features()),
                                                     "; need ", ShapeString(all.features()), ", as in ", path_));
    }
    return TrainingData{std::move(all), std::move(test)};
  }
  int64_t size;
  if (!absl::SimpleAtoi(test_, &size)) {
    return UsageError(absl::StrCat("--test: got ", test_, "; need a number of samples, or FILE.npz"));
  }
  absl::StatusOr<train::DataSplit> split = train::SplitByClass(all, size, seed);
  if (!split.ok()) return file::AtPath(path_, split.status());
  return TrainingData{std::move(split->training), std::move(split->test)};
}

}  // namespace spikeserve::cli

#include "train/data_set.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <string>

#include "absl/strings/str_cat.h"
#include "spikeserve/compute/field_error.h"
#include "status_macros.h"
#include "train/random.h"

namespace spikeserve::train {
namespace {

// A label beyond is a mistake, and each class takes memory.
constexpr int64_t kMaxClasses = int64_t{1} << 20;

bool IsInteger(DataType dtype) {
  return dtype == DataType::kUint8 || dtype == DataType::kInt32 || dtype == DataType::kInt64;
}

std::vector<int64_t> ReadLabels(const Tensor& labels) {
  const auto copy = [](const auto& values) { return std::vector<int64_t>(values.begin(), values.end()); };
  switch (labels.dtype()) {
    case DataType::kUint8:
      return copy(labels.values<uint8_t>());
    case DataType::kInt32:
      return copy(labels.values<int32_t>());
    default:
      return copy(labels.values<int64_t>());
  }
}

absl::Status CheckInputs(const Tensor& inputs, bool time_dimension) {
  const Shape& shape = inputs.shape();
  const char* const needed = time_dimension ? "[N, T, features ...], none 0" : "[N, features ...], none 0";
  const bool is_empty = std::find(shape.begin(), shape.end(), 0) != shape.end();
  if (is_empty || shape.size() < (time_dimension ? 3 : 2)) {
    return InvalidField("inputs", absl::StrCat("shape ", ShapeString(shape)), needed);
  }
  const auto is_nan = [](auto value) { return std::isnan(value); };
  const auto any_nan = [&](const auto& values) { return std::any_of(values.begin(), values.end(), is_nan); };
  if ((inputs.dtype() == DataType::kFloat32 && any_nan(inputs.values<float>())) ||
      (inputs.dtype() == DataType::kFloat64 && any_nan(inputs.values<double>()))) {
    return InvalidField("inputs", "NaN", "numbers");
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<int64_t>> CheckedLabels(const Tensor& labels, int64_t samples) {
  if (!IsInteger(labels.dtype())) {
    return InvalidField("labels", DataTypeName(labels.dtype()), "integers (UINT8, INT32, INT64)");
  }
  if (labels.shape() != Shape{samples}) {
    return InvalidField("labels", absl::StrCat("shape ", ShapeString(labels.shape())),
                        absl::StrCat("[", samples, "], one for each of the inputs"));
  }
  std::vector<int64_t> values = ReadLabels(labels);
  const auto outside = [](int64_t label) { return label < 0 || label >= kMaxClasses; };
  const auto wrong = std::find_if(values.begin(), values.end(), outside);
  if (wrong != values.end())
    return InvalidField("labels", absl::StrCat(*wrong), absl::StrCat("0 to ", kMaxClasses - 1));
  return values;
}

Tensor Scaled(const Tensor& inputs, double scale) {
  Tensor scaled(DataType::kFloat32, inputs.shape());
  const std::vector<double> values = inputs.ToDoubles();
  std::transform(values.begin(), values.end(), scaled.values<float>().begin(),
                 [scale](double value) { return static_cast<float>(value * scale); });
  return scaled;
}

// Copies the samples behind each other.
DataSet Subset(const DataSet& data, absl::Span<const int64_t> samples) {
  Shape shape = data.inputs.shape();
  shape[0] = static_cast<int64_t>(samples.size());
  DataSet subset{.inputs = Tensor(data.inputs.dtype(), std::move(shape)), .labels = {}, .has_time = data.has_time};
  const int64_t bytes = data.inputs.byte_size() / data.size();
  auto* to = static_cast<char*>(subset.inputs.data());
  for (const int64_t sample : samples) {
    std::memcpy(to, static_cast<const char*>(data.inputs.data()) + sample * bytes, bytes);
    to += bytes;
    subset.labels.push_back(data.labels[sample]);
  }
  return subset;
}

}  // namespace

int64_t DataSet::num_classes() const { return *std::max_element(labels.begin(), labels.end()) + 1; }

Shape DataSet::features() const { return Shape(inputs.shape().begin() + (has_time ? 2 : 1), inputs.shape().end()); }

absl::StatusOr<DataSet> MakeDataSet(Tensor inputs, const TensorView& labels, const DataSetOptions& options) {
  SPIKESERVE_RETURN_IF_ERROR(CheckInputs(inputs, options.time_dimension));
  SPIKESERVE_ASSIGN_OR_RETURN(std::vector<int64_t> values, CheckedLabels(Tensor(labels), inputs.shape()[0]));
  if (options.scale != 1) inputs = Scaled(inputs, options.scale);
  DataSet data{.inputs = std::move(inputs), .labels = std::move(values), .has_time = options.time_dimension};
  if (!options.features.empty()) {
    if (ElementCount(options.features) != ElementCount(data.features())) {
      return InvalidField("inputs", absl::StrCat("samples of shape ", ShapeString(data.features())),
                          absl::StrCat("as many elements as ", ShapeString(options.features), " has"));
    }
    Shape shape(data.inputs.shape().begin(), data.inputs.shape().begin() + (data.has_time ? 2 : 1));
    shape.insert(shape.end(), options.features.begin(), options.features.end());
    data.inputs = Tensor(TensorView(data.inputs.dtype(), std::move(shape), data.inputs.data()));
  }
  return data;
}

absl::StatusOr<DataSplit> SplitByClass(const DataSet& data, int64_t test_size, uint64_t seed) {
  const int64_t size = data.size();
  if (test_size < 1 || test_size >= size) {
    return InvalidField("test", absl::StrCat(test_size),
                        absl::StrCat("1 to ", size - 1, ", as there are ", size, " samples"));
  }
  struct Class {
    std::vector<int64_t> samples = {};
    int64_t taken = 0;
    int64_t remainder = 0;
  };
  std::map<int64_t, Class> classes;
  for (int64_t i = 0; i < size; ++i) classes[data.labels[i]].samples.push_back(i);

  // Each class gives its part, rounded down; those that lost most by that give one more.
  int64_t missing = test_size;
  std::vector<Class*> by_remainder;
  for (auto& [label, c] : classes) {
    const int64_t part = static_cast<int64_t>(c.samples.size()) * test_size;
    c.taken = part / size;
    c.remainder = part % size;
    missing -= c.taken;
    by_remainder.push_back(&c);
  }
  std::stable_sort(by_remainder.begin(), by_remainder.end(),
                   [](const Class* a, const Class* b) { return a->remainder > b->remainder; });
  for (int64_t i = 0; i < missing; ++i) ++by_remainder[i]->taken;

  std::vector<int64_t> training, test;
  for (auto& [label, c] : classes) {
    Random(seed, Purpose::kSplit, static_cast<uint64_t>(label)).Shuffle(c.samples);
    test.insert(test.end(), c.samples.begin(), c.samples.begin() + c.taken);
    training.insert(training.end(), c.samples.begin() + c.taken, c.samples.end());
  }
  std::sort(training.begin(), training.end());
  std::sort(test.begin(), test.end());
  return DataSplit{Subset(data, training), Subset(data, test)};
}

Tensor Batch(const Client& client, const DataSet& data, absl::Span<const int64_t> samples) {
  Shape shape = data.features();
  const auto batch = static_cast<int64_t>(samples.size());
  const int64_t steps = data.has_time ? data.inputs.shape()[1] : 1;
  shape.insert(shape.begin(), batch);
  if (data.has_time) shape.insert(shape.begin(), steps);
  Tensor result = client.NewTensor(data.inputs.dtype(), std::move(shape));
  const int64_t bytes = data.inputs.byte_size() / (data.size() * steps);
  auto* to = static_cast<char*>(result.data());
  for (int64_t t = 0; t < steps; ++t) {
    for (const int64_t sample : samples) {
      std::memcpy(to, static_cast<const char*>(data.inputs.data()) + (sample * steps + t) * bytes, bytes);
      to += bytes;
    }
  }
  return result;
}

}  // namespace spikeserve::train

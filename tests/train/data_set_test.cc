#include "train/data_set.h"

#include <algorithm>
#include <limits>
#include <map>
#include <numeric>
#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "spikeserve/compute/field_error.h"

namespace spikeserve::train {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// FLOAT32 of the shape, element i being i.
Tensor Counting(Shape shape) {
  Tensor tensor(DataType::kFloat32, std::move(shape));
  std::iota(tensor.values<float>().begin(), tensor.values<float>().end(), 0.0f);
  return tensor;
}

// `counts[c]` samples of class c, in turns, each of one feature that is its index.
DataSet Classes(std::vector<int> counts) {
  std::vector<int64_t> labels;
  for (bool more = true; more;) {
    more = false;
    for (size_t c = 0; c < counts.size(); ++c) {
      if (counts[c] == 0) continue;
      labels.push_back(static_cast<int64_t>(c));
      more |= --counts[c] > 0;
    }
  }
  const auto size = static_cast<int64_t>(labels.size());
  return {.inputs = Counting({size, 1}), .labels = std::move(labels)};
}

absl::StatusOr<DataSet> Make(Shape shape, const TensorView& labels, const DataSetOptions& options = {}) {
  return MakeDataSet(Counting(std::move(shape)), labels, options);
}

TEST(DataSet, TakesLabelsOfEachIntegerType) {
  const std::vector<uint8_t> bytes = {3, 0, 1};
  const std::vector<int32_t> ints = {3, 0, 1};
  const std::vector<int64_t> longs = {3, 0, 1};
  for (const TensorView& labels : {TensorView(bytes), TensorView(ints), TensorView(longs)}) {
    const auto data = Make({3, 2}, labels);
    ASSERT_TRUE(data.ok()) << data.status();
    EXPECT_THAT(data->labels, ElementsAre(3, 0, 1));
    EXPECT_EQ(data->num_classes(), 4);
    EXPECT_EQ(data->features(), Shape{2});
  }
}

TEST(DataSet, ScaleMakesFloatsAndNoScaleLeavesTheType) {
  Tensor bytes(DataType::kUint8, {2, 1});
  bytes.values<uint8_t>()[0] = 16;
  bytes.values<uint8_t>()[1] = 4;
  const std::vector<int64_t> labels = {0, 1};
  const auto scaled = MakeDataSet(Tensor(TensorView(bytes)), labels, {.scale = 1.0 / 16});
  ASSERT_TRUE(scaled.ok());
  EXPECT_THAT(scaled->inputs.values<float>(), ElementsAre(1, 0.25));
  const auto plain = MakeDataSet(std::move(bytes), labels, {});
  ASSERT_TRUE(plain.ok());
  EXPECT_EQ(plain->inputs.dtype(), DataType::kUint8);
}

TEST(DataSet, SamplesGetTheShapeThatIsAskedFor) {
  const std::vector<int64_t> labels = {0, 1};
  EXPECT_EQ(Make({2, 12}, labels, {.features = {1, 3, 4}})->inputs.shape(), (Shape{2, 1, 3, 4}));
  EXPECT_EQ(Make({2, 5, 3, 4}, labels, {.time_dimension = true, .features = {12}})->inputs.shape(), (Shape{2, 5, 12}));
  const auto wrong = Make({2, 12}, labels, {.features = {1, 3, 5}});
  EXPECT_EQ(FieldOf(wrong.status()), "inputs");
  EXPECT_THAT(std::string(wrong.status().message()), HasSubstr("[12]; need as many elements as [1, 3, 5]"));
}

TEST(DataSet, RefusesWhatIsNoData) {
  const std::vector<int64_t> two = {0, 1}, none;
  const struct {
    const char* field;
    absl::StatusOr<DataSet> data;
  } cases[] = {
      {"inputs", Make({0, 4}, none)},
      {"inputs", Make({2, 0}, two)},
      {"inputs", Make({2}, two)},
      {"inputs", Make({2, 4}, two, {.time_dimension = true})},
      {"inputs", Make({2, 0, 4}, two, {.time_dimension = true})},
      {"labels", Make({3, 4}, two)},
      {"labels", Make({2, 4}, TensorView(absl::MakeConstSpan(two), {1, 2}))},
      {"labels", Make({2, 4}, std::vector<float>{0, 1})},
      {"labels", Make({2, 4}, TensorView(int64_t{1}))},
      {"labels", Make({2, 4}, std::vector<int32_t>{0, -1})},
      {"labels", Make({2, 4}, std::vector<int64_t>{0, int64_t{1} << 20})},
  };
  for (const auto& [field, data] : cases) {
    EXPECT_EQ(data.status().code(), absl::StatusCode::kInvalidArgument) << &data - &cases[0].data;
    EXPECT_EQ(FieldOf(data.status()), field) << data.status();
  }
  Tensor nan = Counting({2, 4});
  nan.values<float>()[7] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(FieldOf(MakeDataSet(std::move(nan), two, {}).status()), "inputs");
}

TEST(SplitByClass, TakesTheSamePartOfEachClass) {
  const DataSet data = Classes({100, 50, 30, 1});
  const auto split = SplitByClass(data, 36, 1);
  ASSERT_TRUE(split.ok()) << split.status();
  std::map<int64_t, int> counts;
  for (const int64_t label : split->test.labels) ++counts[label];
  // A fifth, of 181 samples: 19.9, 9.9, 6.0 and 0.2.
  EXPECT_EQ(counts, (std::map<int64_t, int>{{0, 20}, {1, 10}, {2, 6}}));
}

TEST(SplitByClass, EverySampleIsInOneOfThePartsWithItsLabel) {
  for (const std::vector<int>& counts : {std::vector<int>{2}, {1, 1}, {7, 0, 13}, {31, 17, 1, 5}}) {
    const DataSet data = Classes(counts);
    for (int64_t size = 1; size < data.size(); ++size) {
      for (const uint64_t seed : {0, 1, 2}) {
        const auto split = SplitByClass(data, size, seed);
        ASSERT_TRUE(split.ok()) << split.status();
        EXPECT_EQ(split->test.size(), size);
        std::set<int64_t> seen;
        for (const DataSet* part : {&split->training, &split->test}) {
          const absl::Span<const float> values = part->inputs.values<float>();
          ASSERT_EQ(values.size(), part->labels.size());
          EXPECT_TRUE(std::is_sorted(values.begin(), values.end()));
          for (size_t i = 0; i < values.size(); ++i) {
            const auto sample = static_cast<int64_t>(values[i]);
            EXPECT_TRUE(seen.insert(sample).second);
            EXPECT_EQ(part->labels[i], data.labels[sample]);
          }
        }
        EXPECT_EQ(static_cast<int64_t>(seen.size()), data.size());
        // No class is more than one sample away from its part.
        for (size_t c = 0; c < counts.size(); ++c) {
          const auto taken = std::count(split->test.labels.begin(), split->test.labels.end(), static_cast<int64_t>(c));
          const double part =
              static_cast<double>(counts[c]) * static_cast<double>(size) / static_cast<double>(data.size());
          EXPECT_LT(std::abs(static_cast<double>(taken) - part), 1);
        }
      }
    }
  }
}

TEST(SplitByClass, TheSeedChoosesTheSamples) {
  const DataSet data = Classes({40, 40});
  const auto values = [&](uint64_t seed) {
    const auto split = SplitByClass(data, 20, seed);
    const absl::Span<const float> test = split->test.inputs.values<float>();
    return std::vector<float>(test.begin(), test.end());
  };
  EXPECT_EQ(values(3), values(3));
  EXPECT_NE(values(3), values(4));
}

TEST(SplitByClass, RefusesToLeaveAPartEmpty) {
  const DataSet data = Classes({2, 3});
  for (const int64_t size : {-1, 0, 5, 6}) {
    const auto split = SplitByClass(data, size, 0);
    EXPECT_EQ(FieldOf(split.status()), "test") << size;
  }
}

TEST(Batch, HoldsTheSamplesAndPutsTimeFirst) {
  const Client client = *Client::InProcess();
  const std::vector<int64_t> labels = {0, 1, 2};
  const DataSet constant = *Make({3, 2}, labels);
  const Tensor batch = Batch(client, constant, {2, 0});
  EXPECT_EQ(batch.shape(), (Shape{2, 2}));
  EXPECT_THAT(batch.values<float>(), ElementsAre(4, 5, 0, 1));

  // [N, T, features]: element [n, t, f] is 8 n + 2 t + f.
  const DataSet timed = *Make({3, 4, 2}, labels, {.time_dimension = true});
  const Tensor trains = Batch(client, timed, {1, 0, 1});
  EXPECT_EQ(trains.shape(), (Shape{4, 3, 2}));
  for (int t = 0; t < 4; ++t) {
    for (int b = 0; b < 3; ++b) {
      for (int f = 0; f < 2; ++f) {
        const int sample = b == 1 ? 0 : 1;
        EXPECT_EQ(trains.values<float>()[(t * 3 + b) * 2 + f], 8 * sample + 2 * t + f);
      }
    }
  }
}

}  // namespace
}  // namespace spikeserve::train

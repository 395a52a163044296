#include "spikeserve/compute/redundant_one_hot.h"

#include <cstdint>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/compute_test_util.h"
#include "lib/simd_targets.h"

namespace spikeserve {
namespace {

using ::testing::ElementsAreArray;

constexpr int64_t kMax = std::numeric_limits<int64_t>::max();

TEST(RedundantOneHot, AgreesWithTheReference) {
  for (const testing::GoldenCase& golden : testing::GoldenCases("redundant_one_hot")) {
    const int64_t num_classes = golden.params["num_classes"];
    const int64_t n = golden.params["n"];
    const auto labels = golden.inputs.at("labels").values<int64_t>();
    std::vector<float> codes(labels.size() * static_cast<size_t>(num_classes * n), 7.0f);
    ASSERT_TRUE(RedundantOneHot(labels, num_classes, n, absl::MakeSpan(codes)).ok());
    EXPECT_THAT(codes, ElementsAreArray(golden.outputs.at("codes").values<float>())) << golden.name;
  }
}

std::vector<int64_t> Labels(int64_t rows, int64_t num_classes) {
  std::mt19937 random(static_cast<uint32_t>(rows));
  std::vector<int64_t> labels;
  for (int64_t b = 0; b < rows; ++b) labels.push_back(static_cast<int64_t>(random()) % num_classes);
  return labels;
}

// What is written to memory that begins `offset` elements into an allocation and ends with another, neither of which
// may be touched.
template <typename Scalar>
void ExpectCodes(const std::vector<int64_t>& labels, int64_t num_classes, int64_t n, size_t offset,
                 Executor& executor) {
  const int64_t width = num_classes * n;
  const size_t size = labels.size() * static_cast<size_t>(width);
  std::vector<Scalar> memory(offset + size + 1, Scalar{7});
  ASSERT_TRUE(RedundantOneHot(labels, num_classes, n, absl::MakeSpan(memory).subspan(offset, size), executor).ok());
  size_t wrong = 0;
  for (size_t i = 0; i < memory.size(); ++i) {
    const bool inside = i >= offset && i < offset + size;
    const int64_t at = static_cast<int64_t>(i - offset);
    const Scalar expected = inside ? Scalar(at % width / n == labels[at / width]) : Scalar{7};
    wrong += memory[i] != expected;
  }
  EXPECT_EQ(wrong, 0);
}

void ExpectBits(const std::vector<int64_t>& labels, int64_t num_classes, int64_t n, size_t offset, Executor& executor) {
  const int64_t width = num_classes * n;
  const int64_t row_bytes = (width + 7) / 8;
  const size_t size = labels.size() * static_cast<size_t>(row_bytes);
  std::vector<uint8_t> memory(offset + size + 1, 0xa5);
  ASSERT_TRUE(RedundantOneHotBits(labels, num_classes, n, absl::MakeSpan(memory).subspan(offset, size), executor).ok());
  size_t wrong = 0;
  for (size_t b = 0; b < labels.size(); ++b) {
    const uint8_t* row = memory.data() + offset + b * row_bytes;
    for (int64_t i = 0; i < 8 * row_bytes; ++i) wrong += (row[i / 8] >> (i % 8) & 1) != (i / n == labels[b]);
  }
  EXPECT_EQ(wrong, 0);
  for (size_t i = 0; i < offset; ++i) EXPECT_EQ(memory[i], 0xa5);
  EXPECT_EQ(memory.back(), 0xa5);
}

void ExpectAllForms(int64_t rows, int64_t num_classes, int64_t n, size_t offset, Executor& executor) {
  SCOPED_TRACE(absl::StrCat(rows, " labels of ", num_classes, " classes, n = ", n, ", offset ", offset));
  const std::vector<int64_t> labels = Labels(rows, num_classes);
  ExpectCodes<float>(labels, num_classes, n, offset, executor);
  ExpectCodes<uint8_t>(labels, num_classes, n, offset, executor);
  ExpectBits(labels, num_classes, n, offset, executor);
}

TEST(RedundantOneHot, HasOnesFromLabelTimesNOnForAnyShapeThreadsAndInstructionSet) {
  testing::SplitExecutor split;
  for (const int64_t rows : testing::kSizes) {
    for (const int64_t num_classes : {1, 2, 3, 10}) {
      for (const int64_t n : {1, 2, 5, 8, 13, 64}) {
        testing::ForEachTarget(
            [&] { ExpectAllForms(rows, num_classes, n, static_cast<size_t>(rows + n) % 5, InlineExecutor()); });
        ExpectAllForms(rows, num_classes, n, 1, split);
      }
    }
  }
}

TEST(RedundantOneHot, WideCodesAreWrittenAsWell) {
  testing::SplitExecutor split;
  for (const int64_t num_classes : {1, 31, 1000}) {
    for (const int64_t n : {1023, 1024, 1025, 4097}) {
      ExpectAllForms(5, num_classes, n, 3, InlineExecutor());
      ExpectAllForms(5, num_classes, n, 0, split);
    }
  }
}

TEST(RedundantOneHot, CodesLargerThanTheCachesAreWrittenAsWell) {
  const std::vector<int64_t> labels = Labels(10'007, 11);
  testing::ForEachTarget([&] { ExpectCodes<float>(labels, 11, 10, 1, InlineExecutor()); });  // 4.4 MB.
}

TEST(RedundantOneHot, RefusesLabelsOutsideOfTheClasses) {
  std::vector<float> codes(6);
  EXPECT_EQ(testing::Refusal(RedundantOneHot({1, 3}, 3, 1, absl::MakeSpan(codes)), "labels"),
            "labels: labels[1] is 3; need labels in [0, num_classes) = [0, 3)");
  testing::Refusal(RedundantOneHot({-1, 0}, 3, 1, absl::MakeSpan(codes)), "labels");
}

TEST(RedundantOneHot, RefusesTheFirstBadLabelWhateverTheThreadsAndTheFormOfCodes) {
  testing::SplitExecutor split;
  for (const int64_t n : {1, 3000}) {
    for (const int64_t bad : {int64_t{3}, int64_t{-1}, kMax, -kMax - 1}) {
      std::vector<int64_t> labels = Labels(100, 3);
      labels[41] = bad;
      labels[73] = 17;
      const std::string expected =
          absl::StrCat("labels: labels[41] is ", bad, "; need labels in [0, num_classes) = [0, 3)");
      std::vector<float> codes(static_cast<size_t>(300 * n));
      std::vector<uint8_t> bits(static_cast<size_t>(100 * ((3 * n + 7) / 8)));
      testing::ForEachTarget([&] {
        EXPECT_EQ(testing::Refusal(RedundantOneHot(labels, 3, n, absl::MakeSpan(codes)), "labels"), expected);
      });
      EXPECT_EQ(testing::Refusal(RedundantOneHot(labels, 3, n, absl::MakeSpan(codes), split), "labels"), expected);
      EXPECT_EQ(testing::Refusal(RedundantOneHotBits(labels, 3, n, absl::MakeSpan(bits), split), "labels"), expected);
    }
  }
}

TEST(RedundantOneHot, RefusesWidthsThatDoNotExist) {
  testing::Refusal(RedundantOneHotWidth(0, 1).status(), "num_classes");
  testing::Refusal(RedundantOneHotWidth(1, 0).status(), "n");
  testing::Refusal(RedundantOneHotWidth(1, -3).status(), "n");
  testing::Refusal(RedundantOneHotWidth(kMax, 2).status(), "n");
  EXPECT_EQ(*RedundantOneHotWidth(kMax, 1), kMax);
}

TEST(RedundantOneHot, RefusesCodesOfAnotherSize) {
  std::vector<float> codes(5);
  testing::Refusal(RedundantOneHot({0, 1}, 3, 1, absl::MakeSpan(codes)), "codes");
  testing::Refusal(RedundantOneHot({0, 1}, kMax, 1, absl::MakeSpan(codes)), "codes");
  std::vector<uint8_t> bits(2);
  EXPECT_EQ(testing::Refusal(RedundantOneHotBits({0, 1}, 9, 1, absl::MakeSpan(bits)), "codes"),
            "codes: 2 bytes; need [2, 9] as bits, 2 bytes a row");
  testing::Refusal(RedundantOneHotBits({0, 1}, kMax, 1, absl::MakeSpan(bits)), "codes");
}

}  // namespace
}  // namespace spikeserve

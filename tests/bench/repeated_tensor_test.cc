#include "bench/repeated_tensor.h"

#include <cstring>
#include <stdexcept>
#include <vector>

#include "gtest/gtest.h"

namespace spikeserve::bench {
namespace {

TEST(RepeatedTensor, HasTheRowsAgainAndAgain) {
  Tensor block(DataType::kInt32, {64, 32});  // Two pages.
  for (int i = 0; i < 64 * 32; ++i) block.values<int32_t>()[i] = i;
  const RepeatedTensor repeated(block, 5);
  const TensorView view = repeated.view();
  EXPECT_EQ(view.dtype(), DataType::kInt32);
  EXPECT_EQ(view.shape(), (Shape{320, 32}));
  for (int time = 0; time < 5; ++time) {
    EXPECT_EQ(std::memcmp(static_cast<const char*>(view.data()) + time * block.byte_size(), block.data(),
                          static_cast<size_t>(block.byte_size())),
              0);
  }
}

TEST(RepeatedTensor, MayBeLargerThanMemory) {
  const Tensor block(DataType::kFloat32, {1024, 1024});
  const RepeatedTensor repeated(block, 1 << 14);
  EXPECT_EQ(repeated.view().byte_size(), int64_t{1} << 36);
  EXPECT_EQ(static_cast<const float*>(repeated.view().data())[(int64_t{1} << 34) - 1], 0.0f);
}

TEST(RepeatedTensor, RefusesWhatIsNoWholePages) {
  EXPECT_THROW(RepeatedTensor(Tensor(DataType::kFloat32, {10, 10}), 2), std::runtime_error);
  EXPECT_THROW(RepeatedTensor(Tensor(DataType::kFloat32, {0, 10}), 2), std::runtime_error);
}

}  // namespace
}  // namespace spikeserve::bench

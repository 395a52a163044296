// What the tests of networks and layers share.

#ifndef SPIKESERVE_TESTS_LIB_NETWORK_TESTING_H_
#define SPIKESERVE_TESTS_LIB_NETWORK_TESTING_H_

#include <cstdint>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "spikeserve/compute/field_error.h"
#include "spikeserve/compute/network.h"

namespace spikeserve {

inline Network MakeNetwork(std::vector<LayerSpec> specs) {
  auto network = Network::Create(std::move(specs));
  EXPECT_TRUE(network.ok()) << network.status();
  return *std::move(network);
}

inline ForwardResult Forward(Network& network, absl::Span<const float> input, const Shape& shape,
                             absl::Span<const RecordRequest> records = {}, Executor& executor = InlineExecutor()) {
  auto result = network.Forward(input, shape, {.records = records}, executor);
  EXPECT_TRUE(result.ok()) << result.status();
  return *std::move(result);
}

// The message of a refused Forward, after a check of the field it blames.
inline std::string Refusal(Network& network, absl::Span<const float> input, const Shape& shape, std::string_view field,
                           absl::Span<const RecordRequest> records = {}) {
  const auto result = network.Forward(input, shape, {.records = records});
  EXPECT_EQ(result.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(FieldOf(result.status()), field);
  return std::string(result.status().message());
}

// Of [-0.5, 1.65].
inline std::vector<float> RandomNumbers(int64_t size, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<float> numbers(size);
  for (float& x : numbers) x = static_cast<float>(random()) / 4.0e9f * 2.0f - 0.5f;
  return numbers;
}

inline LinearLayer RandomLinear(int64_t in, int64_t out, uint32_t seed) {
  const std::vector<float> weight = RandomNumbers(in * out, seed);
  return {.weight = Eigen::Map<const RowMatrix<float>>(weight.data(), out, in), .bias = RandomNumbers(out, seed + 1)};
}

}  // namespace spikeserve

#endif  // SPIKESERVE_TESTS_LIB_NETWORK_TESTING_H_

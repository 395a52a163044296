// Bad tensors and messages over every transport: each gets its code and a message that names the field, what came and
// what is needed, and the service goes on.

#include <string>
#include <string_view>
#include <vector>

#include "gmock/gmock.h"
#include "google/protobuf/text_format.h"
#include "grpcpp/grpcpp.h"
#include "gtest/gtest.h"
#include "spikeserve/v1/functions.pb.h"
#include "suites/bad_input_testing.h"
#include "support/generic_call.h"

namespace spikeserve::testing {
namespace {

using ::testing::HasSubstr;

class BadTensorSuite : public BadInputTest {};
SPIKESERVE_OVER_ALL_TRANSPORTS(BadTensorSuite);

#define GOOD_V "v { dtype: DATA_TYPE_FLOAT32 shape: [2, 1] values: [0, 2] } "
#define GOOD_THRESHOLD "v_threshold { dtype: DATA_TYPE_FLOAT32 values: 1 } "

const std::vector<BadCase>& Cases() {
  static const auto& cases = *new std::vector<BadCase>{
      {"SpikeFunctionService/SpikeCluster", GOOD_THRESHOLD, kInvalid, "v", {"absent"}},
      {"SpikeFunctionService/SpikeCluster", GOOD_V, kInvalid, "v_threshold", {"absent"}},
      {"SpikeFunctionService/SpikeCluster",
       "v { shape: [2, 1] values: [0, 2] } " GOOD_THRESHOLD,
       kInvalid,
       "v.dtype",
       {"UNSPECIFIED", "FLOAT32, FLOAT64"}},
      {"SpikeFunctionService/SpikeCluster",
       "v { dtype: DATA_TYPE_INT32 shape: [2, 1] values: [0, 2] } " GOOD_THRESHOLD,
       kInvalid,
       "v.dtype",
       {"INT32", "FLOAT32, FLOAT64"}},
      {"SpikeFunctionService/SpikeCluster",
       "v { dtype: 77 shape: [2, 1] values: [0, 2] } " GOOD_THRESHOLD,
       kInvalid,
       "v.dtype",
       {"77", "FLOAT32, FLOAT64"}},
      {"SpikeFunctionService/SpikeCluster",
       "v { dtype: DATA_TYPE_FLOAT32 shape: [2, 1] data: '\\0\\0\\0\\0\\0' } " GOOD_THRESHOLD,
       kInvalid,
       "v.data",
       {"5 bytes", "8 bytes", "[2, 1]"}},
      {"SpikeFunctionService/SpikeCluster",
       "v { dtype: DATA_TYPE_FLOAT32 shape: [2, 1] } " GOOD_THRESHOLD,
       kInvalid,
       "v.data",
       {"0 bytes", "8 bytes"}},
      {"SpikeFunctionService/SpikeCluster",
       "v { dtype: DATA_TYPE_FLOAT32 shape: [2, 1] values: [1] } " GOOD_THRESHOLD,
       kInvalid,
       "v.values",
       {"1 elements", "2", "[2, 1]"}},
      {"SpikeFunctionService/SpikeCluster",
       "v { dtype: DATA_TYPE_FLOAT32 shape: [2, -1] } " GOOD_THRESHOLD,
       kInvalid,
       "v.shape",
       {"[2, -1]", "at least 0"}},
      {"SpikeFunctionService/SpikeCluster",
       "v { dtype: DATA_TYPE_FLOAT32 shape: [4294967296, 4294967296] } " GOOD_THRESHOLD,
       kInvalid,
       "v.shape",
       {"4294967296", "below 2^63"}},
      {"SpikeFunctionService/SpikeCluster",
       "v { dtype: DATA_TYPE_FLOAT32 shape: [0, 4611686018427387904, 4] } " GOOD_THRESHOLD,
       kInvalid,
       "v.shape",
       {"below 2^63"}},
      {"SpikeFunctionService/SpikeCluster",
       "v { dtype: DATA_TYPE_FLOAT32 shape: [-9223372036854775808, 1] } " GOOD_THRESHOLD,
       kInvalid,
       "v.shape",
       {"at least 0"}},
      {"SpikeFunctionService/SpikeCluster",
       "v { dtype: DATA_TYPE_FLOAT32 shape: [9223372036854775807, 1] } " GOOD_THRESHOLD,
       kExhausted,
       "v.shape",
       {"9223372036854775807", "--max-decoded-bytes"}},
      {"SpikeFunctionService/FirstSpikeIndex",
       "spikes { dtype: DATA_TYPE_BIT shape: [1099511627776] event_deltas: 5 }",
       kExhausted,
       "spikes.shape",
       {"--max-decoded-bytes"}},
      {"SpikeFunctionService/SpikeCluster",
       "v { dtype: DATA_TYPE_FLOAT32 shape: [1, 1] data: '\\0\\0\\0\\0' values: 1 } " GOOD_THRESHOLD,
       kInvalid,
       "v",
       {"data and values", "exactly one"}},
      {"SpikeFunctionService/FirstSpikeIndex",
       "spikes { dtype: DATA_TYPE_BOOL shape: 1 values: 1 event_deltas: 0 }",
       kInvalid,
       "spikes",
       {"values and event_deltas"}},
      {"SpikeFunctionService/FirstSpikeIndex",
       "spikes { dtype: DATA_TYPE_BOOL shape: 1 data: '1' event_deltas: 0 }",
       kInvalid,
       "spikes",
       {"data and event_deltas"}},
      {"SpikeFunctionService/FirstSpikeIndex",
       "spikes { dtype: DATA_TYPE_BOOL shape: [2, 3] event_deltas: [4, 2] }",
       kInvalid,
       "spikes.event_deltas[1]",
       {"below 6"}},
      {"SpikeFunctionService/FirstSpikeIndex",
       "spikes { dtype: DATA_TYPE_BOOL shape: [2, 3] event_deltas: [4, 0] }",
       kInvalid,
       "spikes.event_deltas[1]",
       {"at least 1"}},
      {"SpikeFunctionService/FirstSpikeIndex",
       "spikes { dtype: DATA_TYPE_BOOL shape: [2, 3] event_deltas: [4, 18446744073709551615] }",
       kInvalid,
       "spikes.event_deltas[1]",
       {"below 6"}},
      {"SpikeFunctionService/FirstSpikeIndex",
       "spikes { dtype: DATA_TYPE_BOOL shape: [0] event_deltas: [0] }",
       kInvalid,
       "spikes.event_deltas[0]",
       {"below 0"}},
      {"SpikeFunctionService/FirstSpikeIndex",
       "spikes { dtype: DATA_TYPE_UINT8 shape: 1 values: 256 }",
       kInvalid,
       "spikes.values[0]",
       {"256"}},
      {"SpikeFunctionService/FirstSpikeIndex",
       "spikes { dtype: DATA_TYPE_BOOL shape: 2 data: '\\0\\2' }",
       kInvalid,
       "spikes",
       {"element 1 is 2", "0 or 1"}},
      {"SpikeFunctionService/FirstSpikeIndex", "", kInvalid, "spikes", {"absent", "a tensor"}},
      {"SpikeFunctionService/FirstSpikeIndex",
       "spikes { dtype: DATA_TYPE_BOOL values: 1 }",
       kInvalid,
       "spikes.shape",
       {"[]", "[*, T]"}},
      {"SpikeFunctionService/FirstSpikeIndex",
       "spikes { dtype: DATA_TYPE_FLOAT32 values: 1 }",
       kInvalid,
       "spikes.shape",
       {"[]", "[*, T]"}},
  };
  return cases;
}

TEST_P(BadTensorSuite, EachBadRequestIsRefusedWithItsCodeFieldAndReason) { ExpectRefused(Cases()); }

TEST_P(BadTensorSuite, MasksWithoutElementsAreSilent) {
  EXPECT_TRUE(Call("SpikeFunctionService/FirstSpikeIndex", "spikes { dtype: DATA_TYPE_BIT shape: [2, 3] }").ok());
}

TEST_P(BadTensorSuite, AMessageOverTheLimitIsRefusedAndTheFlagIsNamed) {
  if (GetParam() == TransportKind::kInProcess) return;  // Nothing is sent, so that there is no limit on it.
  server::EngineOptions options;
  options.limits.max_message_bytes = 10'000;
  Transport small(GetParam(), options);
  const std::vector<uint8_t> spikes(20'000);
  const auto result = small.client().FirstSpikeIndex({.spikes = spikes});
  EXPECT_EQ(result.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(result.status().message()), HasSubstr("--max-message-bytes"));
  EXPECT_TRUE(small.client().FirstSpikeIndex({.spikes = std::vector<uint8_t>(5'000)}).ok());
}

TEST_P(BadTensorSuite, ARequestCutOffAnywhereIsRefusedOrUnderstoodAndTheServiceGoesOn) {
  if (GetParam() == TransportKind::kInProcess) return;  // No bytes there.
  v1::SpikeClusterRequest request;
  ASSERT_TRUE(google::protobuf::TextFormat::ParseFromString(
      GOOD_V GOOD_THRESHOLD "t_in: 1 rule: CLUSTER_RULE_DEFINITION v_min: 1", &request));
  const std::string whole = request.SerializeAsString();
  const auto channel = transport().NewChannel();
  int not_parsed = 0;
  for (size_t length = 0; length < whole.size(); ++length) {
    grpc::ClientContext context;
    const grpc::Status status = testing::CallUnary(channel, "/spikeserve.v1.SpikeFunctionService/SpikeCluster",
                                                   std::string_view(whole).substr(0, length), context);
    EXPECT_TRUE(status.ok() || status.error_code() == grpc::StatusCode::INVALID_ARGUMENT)
        << length << ": " << status.error_code() << " " << status.error_message();
    if (status.error_message().find("do not parse; need a spikeserve.v1.SpikeClusterRequest") != std::string::npos) {
      ++not_parsed;
    }
  }
  EXPECT_GT(not_parsed, 10);
  ExpectServes();
}

TEST_P(BadTensorSuite, AnUnknownMethodIsUnimplemented) {
  v1::SpikeClusterRequest request;
  v1::SpikeClusterResponse response;
  EXPECT_EQ(transport().Call("/spikeserve.v1.SpikeFunctionService/Nothing", request, &response).code(),
            absl::StatusCode::kUnimplemented);
}

}  // namespace
}  // namespace spikeserve::testing

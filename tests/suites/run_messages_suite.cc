// Streams on networks whose messages are written by hand, over every transport.

#include <cmath>
#include <cstdint>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "message_stream.h"
#include "spikeserve/compute/field_error.h"
#include "spikeserve/v1/networks.pb.h"
#include "suites/transport.h"
#include "support/envelopes.h"

namespace spikeserve::testing {
namespace {

class RunMessagesSuite : public TransportTest {
 protected:
  using Request = v1::RunRequest;

  RunMessagesSuite() : network_(*client().CreateNetwork({{.name = "out", .kind = IfNode{}}})) {}

  Request Input(const std::vector<int64_t>& shape, double value = 0.5) {
    Request request;
    request.mutable_input()->set_dtype(v1::DATA_TYPE_FLOAT32);
    int64_t count = 1;
    for (const int64_t length : shape) {
      request.mutable_input()->add_shape(length);
      count *= length;
    }
    for (int64_t i = 0; i < count; ++i) request.mutable_input()->add_values(value);
    return request;
  }
  Request Open(Request request = {}) {
    request.mutable_open()->set_network(network_.name());
    return request;
  }

  // Sends the messages, and ends the stream. Its responses, and how it ended.
  std::pair<std::vector<v1::RunResponse>, absl::Status> Exchange(const std::vector<Request>& messages) {
    const auto stream = transport().connection()->OpenStream({"/spikeserve.v1.SpikeNetworkService/Run",
                                                              &v1::RunResponse::default_instance(),
                                                              absl::InfiniteFuture(), transport().connection()});
    if (!stream.ok()) return {{}, stream.status()};
    std::thread sender([&] {
      for (const Request& message : messages) {
        if (!(*stream)->Send(*ToEnvelope(message, transport().connection()->buffers())).ok()) return;
      }
      (*stream)->CloseSend();
    });
    std::vector<v1::RunResponse> responses;
    absl::StatusOr<std::optional<codec::Envelope>> received = (*stream)->Receive();
    for (; received.ok() && received->has_value(); received = (*stream)->Receive()) {
      EXPECT_TRUE(responses.emplace_back().ParseFromString(Serialized(**received)));
    }
    sender.join();
    return {std::move(responses), received.status()};
  }

  const NetworkHandle network_;
};
SPIKESERVE_OVER_ALL_TRANSPORTS(RunMessagesSuite);

TEST_P(RunMessagesSuite, OneResponseForEachMessageWithAnInputOrAReset) {
  Request reset;
  reset.set_reset(true);
  Request both = Input({1, 1, 1});
  both.set_reset(true);
  const auto [responses, status] =
      Exchange({Open(), Input({1, 1, 1}), {}, reset, Input({2, 1, 1}), {}, {}, both, Input({1, 1, 1})});
  EXPECT_TRUE(status.ok()) << status;
  ASSERT_EQ(responses.size(), 5u);
  for (size_t i = 0; i < responses.size(); ++i) EXPECT_EQ(responses[i].next_step(), i + 1);
  EXPECT_FALSE(responses[1].has_output());
  EXPECT_EQ(responses[0].output().data(), std::string("\0", 1));
  EXPECT_EQ(responses[2].output().data(), std::string("\0\1", 2));
  EXPECT_EQ(responses[3].output().data(), std::string("\0", 1));
  EXPECT_EQ(responses[4].output().data(), std::string("\1", 1));
}

TEST_P(RunMessagesSuite, WrongMessagesEndTheStreamAfterTheResponsesBeforeThemAndChangeNothing) {
  Request mask = Open(Input({1, 1, 1}));
  mask.mutable_open()->set_mask_dtype(v1::DATA_TYPE_FLOAT32);
  Request layer = Open(Input({1, 1, 1}));
  layer.mutable_open()->add_records()->set_layer("in");
  Request unknown = Open(Input({1, 1, 1}));
  unknown.mutable_open()->set_network("absent");
  Request nothing_of_unknown;
  nothing_of_unknown.mutable_open()->set_network("absent");
  Request single = Open(Input({}));
  single.mutable_open()->set_single_step(true);
  Request garbled = Open(Input({2, 1, 1}));
  garbled.mutable_input()->add_values(1);
  const Request first = Open(Input({1, 1, 1}));
  Request wrong_step = Input({1, 1, 1});
  wrong_step.set_step(1'000'000);

  const struct {
    const char* what;
    std::vector<Request> messages;
    size_t responses;
    absl::StatusCode code;
    const char* field;
  } cases[] = {
      {"no open", {Input({1, 1, 1})}, 0, absl::StatusCode::kInvalidArgument, "open"},
      {"no open and nothing else", {{}}, 0, absl::StatusCode::kInvalidArgument, "open"},
      {"open twice", {first, first}, 1, absl::StatusCode::kInvalidArgument, "open"},
      {"open twice, of nothing", {first, Open()}, 1, absl::StatusCode::kInvalidArgument, "open"},
      {"a dtype for no masks", {mask}, 0, absl::StatusCode::kInvalidArgument, "mask_dtype"},
      {"a layer that is not there", {layer}, 0, absl::StatusCode::kInvalidArgument, "records[0].layer"},
      {"a network that is not there", {unknown}, 0, absl::StatusCode::kNotFound, "network"},
      {"the same without input", {nothing_of_unknown}, 0, absl::StatusCode::kNotFound, "network"},
      {"another batch", {first, Input({1, 2, 1})}, 1, absl::StatusCode::kInvalidArgument, "input"},
      {"other features", {first, Input({1, 1, 3})}, 1, absl::StatusCode::kInvalidArgument, "input"},
      {"too few dimensions", {first, Input({1})}, 1, absl::StatusCode::kInvalidArgument, "input"},
      {"no dimension of a single step", {single}, 0, absl::StatusCode::kInvalidArgument, "input"},
      {"more values than the shape", {garbled}, 0, absl::StatusCode::kInvalidArgument, "input"},
      {"NaN", {first, Input({1, 1, 1}, std::nan(""))}, 1, absl::StatusCode::kInvalidArgument, "input"},
      {"a wrong step", {first, wrong_step}, 1, absl::StatusCode::kFailedPrecondition, "step"},
  };
  for (const auto& c : cases) {
    const uint64_t before = network_.Get()->next_step;
    std::vector<Request> messages = c.messages;
    messages.push_back(Input({1, 1, 1}));  // Comes to nothing.
    const auto [responses, status] = Exchange(messages);
    EXPECT_EQ(status.code(), c.code) << c.what << ": " << status;
    EXPECT_THAT(FieldOf(status), ::testing::StartsWith(c.field)) << c.what << ": " << status;
    EXPECT_EQ(responses.size(), c.responses) << c.what;
    EXPECT_EQ(network_.Get()->next_step, before + c.responses) << c.what;
  }
}

TEST_P(RunMessagesSuite, AStreamWithoutMessagesEndsWell) {
  const auto [responses, status] = Exchange({});
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_TRUE(responses.empty());
}

}  // namespace
}  // namespace spikeserve::testing

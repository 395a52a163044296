#include "codec/parsed_size.h"

#include <optional>
#include <string>

#include "codec/envelope.h"
#include "gtest/gtest.h"
#include "spikeserve/v1/functions.pb.h"
#include "spikeserve/v1/networks.pb.h"

namespace spikeserve::codec {
namespace {

constexpr int64_t kMany = int64_t{1} << 40;

std::optional<int64_t> Size(absl::string_view bytes, const Message& message, int64_t enough = kMany) {
  return ParsedSize({&bytes, 1}, message.GetDescriptor(), enough);
}

absl::Status Parse(absl::string_view bytes, const Message& message, int64_t max_bytes) {
  BufferPool buffers(0);
  return ParseEnvelope({&bytes, 1}, message, buffers, max_bytes).status();
}

// No less than the message takes, and not so much more that sensible messages would be refused.
void ExpectClose(const Message& message) {
  const std::optional<int64_t> size = Size(message.SerializeAsString(), message);
  ASSERT_TRUE(size.has_value());
  EXPECT_GE(*size, static_cast<int64_t>(message.SpaceUsedLong()));
  EXPECT_LE(*size, 4 * static_cast<int64_t>(message.SpaceUsedLong()));
}

// Two bytes each, which become a message each.
std::string EmptyLayers(int count) {
  std::string bytes;
  for (int i = 0; i < count; ++i) bytes += std::string("\x0a\0", 2);
  return bytes;
}

TEST(ParsedSize, IsThatOfTheMessage) {
  v1::CreateNetworkRequest network;
  ExpectClose(network);
  for (int i = 0; i < 1000; ++i) network.add_layers();
  ExpectClose(network);
  v1::Tensor events, values, shape;
  for (int i = 0; i < 1000; ++i) events.add_event_deltas(i % 300);
  for (int i = 0; i < 1000; ++i) values.add_values(i);
  for (int i = 0; i < 1000; ++i) shape.add_shape(i);
  for (const v1::Tensor& tensor : {events, values, shape}) ExpectClose(tensor);
}

TEST(ParsedSize, CountsFieldsThatTheMessageDoesNotHave) {
  std::string unknown;
  for (int i = 0; i < 1000; ++i) unknown += std::string("\x78\x01\x7a\x01x\x7b\x78\x01\x7c", 9);
  v1::Tensor tensor;
  ASSERT_TRUE(tensor.ParseFromString(unknown));
  const std::optional<int64_t> size = Size(unknown, tensor);
  ASSERT_TRUE(size.has_value());
  EXPECT_GE(*size, static_cast<int64_t>(tensor.SpaceUsedLong()));
}

// The number of a field does not make it one: Protobuf keeps what comes as another type as it keeps unknown fields.
TEST(ParsedSize, CountsFieldsThatComeAsAnotherType) {
  // `training`, a bool, as a group and as 4 bytes; `layers`, messages, as groups.
  for (const std::string& field : {std::string("\x13\x14"), std::string("\x15\0\0\0\0", 5), std::string("\x0b\x0c")}) {
    std::string bytes;
    for (int i = 0; i < 10'000; ++i) bytes += field;
    v1::CreateNetworkRequest network;
    ASSERT_TRUE(network.ParseFromString(bytes));
    ASSERT_EQ(network.GetReflection()->GetUnknownFields(network).field_count(), 10'000);
    const std::optional<int64_t> size = Size(bytes, network);
    ASSERT_TRUE(size.has_value());
    EXPECT_GE(*size, static_cast<int64_t>(network.SpaceUsedLong()));
  }
}

TEST(ParsedSize, LeavesOutTheElementsOfTensors) {
  v1::CreateNetworkRequest network;
  network.add_layers()->mutable_linear()->mutable_weight()->set_data(std::string(100'000, '\1'));
  const std::optional<int64_t> size = Size(network.SerializeAsString(), network);
  ASSERT_TRUE(size.has_value());
  EXPECT_GE(*size, static_cast<int64_t>(network.SpaceUsedLong()) - 100'100);
  EXPECT_LT(*size, 10'000);
}

TEST(ParsedSize, AsDeepAsProtobufAllows) {
  for (const int depth : {99, 100, 101, 102}) {
    const std::string groups = std::string(depth, '\x7b') + std::string(depth, '\x7c');
    EXPECT_EQ(Size(groups, v1::CreateNetworkRequest()).has_value(), v1::CreateNetworkRequest().ParseFromString(groups))
        << depth;
  }
}

TEST(ParsedSize, IsNotKnownOfWhatCannotBeRead) {
  for (const char* bytes : {"\x0a", "\x0a\x05x", "\x07", "\x0c", "\x80", "\x0b"}) {
    EXPECT_EQ(Size(bytes, v1::CreateNetworkRequest()), std::nullopt) << bytes;
  }
}

TEST(ParsedSize, LooksNoFurtherWhenItIsEnough) {
  const std::optional<int64_t> size = Size(EmptyLayers(1000) + "\x07", v1::CreateNetworkRequest(), /*enough=*/1000);
  ASSERT_TRUE(size.has_value());
  EXPECT_GT(*size, 1000);
  EXPECT_LT(*size, 2000);
}

TEST(ParseEnvelope, RefusesWhatWouldBecomeTooMuchBeforeItIsParsed) {
  const std::string layers = EmptyLayers(100'000);
  EXPECT_TRUE(Parse(layers, v1::CreateNetworkRequest(), kMany).ok());
  const absl::Status refused = Parse(layers, v1::CreateNetworkRequest(), 1 << 20);
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_NE(std::string(refused.message()).find("--max-decoded-bytes"), std::string::npos) << refused;
}

TEST(ParseEnvelope, RefusesTooManyEventsOfATensorBeforeTheyAreParsed) {
  v1::FirstSpikeIndexRequest request;
  for (int i = 0; i < 100'000; ++i) request.mutable_spikes()->add_event_deltas(1);
  const std::string bytes = request.SerializeAsString();
  EXPECT_TRUE(Parse(bytes, request, kMany).ok());
  EXPECT_EQ(Parse(bytes, request, 1 << 20).code(), absl::StatusCode::kResourceExhausted);
}

// Of which none is large.
TEST(ParseEnvelope, RefusesTooManyEventsInManyOccurrencesOfATensor) {
  v1::FirstSpikeIndexRequest request;
  for (int i = 0; i < 10'000; ++i) request.mutable_spikes()->add_event_deltas(1);
  std::string bytes;
  for (int i = 0; i < 20; ++i) bytes += request.SerializeAsString();
  EXPECT_TRUE(Parse(bytes, request, kMany).ok());
  EXPECT_EQ(Parse(bytes, request, 1 << 20).code(), absl::StatusCode::kResourceExhausted);
}

TEST(ParseEnvelope, DropsWhatIsLargeAndUnknown) {
  v1::FirstSpikeIndexRequest known;
  known.mutable_spikes()->add_shape(3);
  const std::string unknown = "\x7a\x80\x80\x06" + std::string(6 << 14, 'x');
  const std::string bytes = known.SerializeAsString() + unknown;
  BufferPool buffers(0);
  const absl::string_view piece = bytes;
  const auto envelope = ParseEnvelope({&piece, 1}, known, buffers);
  ASSERT_TRUE(envelope.ok()) << envelope.status();
  EXPECT_LT(envelope->ByteSize(), 1000);
}

TEST(ParseEnvelope, MuchThatCannotBeReadIsTheCallersMistake) {
  EXPECT_EQ(Parse(EmptyLayers(100'000) + "\x07", v1::CreateNetworkRequest(), kMany).code(),
            absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace spikeserve::codec

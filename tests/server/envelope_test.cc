// Protobuf's own parser and serialiser are the oracle: an envelope is what they make of the same bytes.

#include "codec/envelope.h"

#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "google/protobuf/util/message_differencer.h"
#include "gtest/gtest.h"
#include "spikeserve/v1/functions.pb.h"
#include "spikeserve/v1/networks.pb.h"
#include "support/envelopes.h"

namespace spikeserve::codec {
namespace {

using google::protobuf::util::MessageDifferencer;
using ::testing::HasSubstr;

class EnvelopeTest : public ::testing::Test {
 protected:
  // Parses `bytes` cut into pieces of `size`.
  absl::StatusOr<Envelope> Parse(const std::string& bytes, const Message& prototype, size_t size = SIZE_MAX) {
    std::vector<absl::string_view> pieces;
    for (size_t i = 0; i < bytes.size(); i += std::min(size, bytes.size() - i)) {
      pieces.push_back(absl::string_view(bytes).substr(i, size));
      if (i % 3 == 0) pieces.emplace_back();  // An empty piece is none.
    }
    return ParseEnvelope(pieces, prototype, buffers_);
  }

  // Both parsers agree on whether the bytes are a Request, and on what they say.
  template <typename Request>
  void ExpectAsProtobuf(const std::string& bytes, size_t piece = SIZE_MAX) {
    Request expected;
    const bool parses = expected.ParseFromString(bytes);
    const absl::StatusOr<Envelope> envelope = Parse(bytes, Request::default_instance(), piece);
    ASSERT_EQ(envelope.ok(), parses) << envelope.status() << " " << expected.ShortDebugString();
    if (!parses) return;
    Request again;
    ASSERT_TRUE(again.ParseFromString(testing::Serialized(*envelope)));
    EXPECT_TRUE(MessageDifferencer::Equals(again, expected)) << again.ShortDebugString() << "\n"
                                                             << expected.ShortDebugString();
  }

  BufferPool buffers_{1 << 20};
  std::mt19937 random_{7};
};

v1::Tensor SomeTensor(std::mt19937& random) {
  v1::Tensor tensor;
  tensor.set_dtype(static_cast<v1::DataType>(random() % 9));
  for (size_t i = random() % 4; i > 0; --i) tensor.add_shape(static_cast<int64_t>(random()) - (int64_t{1} << 31));
  if (random() % 4 != 0) tensor.set_data(std::string(random() % 3 == 0 ? random() % 40000 : random() % 40, 'x'));
  for (size_t i = random() % 3; i > 0; --i) tensor.add_values(static_cast<double>(random()));
  for (size_t i = random() % 3; i > 0; --i) tensor.add_event_deltas(random());
  return tensor;
}

v1::SpikeClusterRequest SomeRequest(std::mt19937& random) {
  v1::SpikeClusterRequest request;
  if (random() % 5 != 0) *request.mutable_v() = SomeTensor(random);
  if (random() % 5 != 0) *request.mutable_v_threshold() = SomeTensor(random);
  if (random() % 2 != 0) request.set_t_in(static_cast<int64_t>(random()) - 1000);
  if (random() % 2 != 0) request.set_v_min(0.5);
  if (random() % 2 != 0) request.set_index_output(true);
  return request;
}

TEST_F(EnvelopeTest, MeansWhatTheMessageMeansHoweverItsBytesAreCut) {
  for (int round = 0; round < 300; ++round) {
    const std::string bytes = SomeRequest(random_).SerializeAsString();
    for (const size_t piece : {size_t{1}, size_t{7}, size_t{4096}, SIZE_MAX}) {
      if (piece == 1 && bytes.size() > 5000) continue;
      ExpectAsProtobuf<v1::SpikeClusterRequest>(bytes, piece);
    }
  }
}

TEST_F(EnvelopeTest, FieldsThatComeTwiceAreMerged) {
  for (int round = 0; round < 200; ++round) {
    ExpectAsProtobuf<v1::SpikeClusterRequest>(SomeRequest(random_).SerializeAsString() +
                                              SomeRequest(random_).SerializeAsString());
  }
}

TEST_F(EnvelopeTest, BytesThatAreCutOffOrCorruptAreRefusedExactlyWhereProtobufRefusesThem) {
  for (int round = 0; round < 400; ++round) {
    std::string bytes = SomeRequest(random_).SerializeAsString();
    if (bytes.size() > 300 || bytes.empty()) continue;
    ExpectAsProtobuf<v1::SpikeClusterRequest>(bytes.substr(0, random_() % bytes.size()));
    for (int flips = 0; flips < 20; ++flips) {
      std::string corrupt = bytes;
      corrupt[random_() % corrupt.size()] = static_cast<char>(random_());
      ExpectAsProtobuf<v1::SpikeClusterRequest>(corrupt);
    }
  }
}

TEST_F(EnvelopeTest, AnyBytesAreTakenOrRefusedAsByProtobuf) {
  for (int round = 0; round < 20000; ++round) {
    std::string bytes(random_() % 24, '\0');
    // Mostly small numbers: they make tags and lengths that go on.
    for (char& byte : bytes) byte = static_cast<char>(random_() % 4 == 0 ? random_() : random_() % 48);
    ExpectAsProtobuf<v1::SpikeClusterRequest>(bytes);
  }
}

TEST_F(EnvelopeTest, GroupsAndFieldsOfLaterVersionsArePassedOver) {
  using std::string_literals::operator""s;
  // Field 100: a varint, fixed64, bytes, fixed32 and a group with a group inside.
  for (const std::string& unknown :
       {"\xa0\x06\x05"s,
        "\xa1\x06"
        "12345678"s,
        "\xa2\x06\x03"
        "abc"s,
        "\xa5\x06"
        "1234"s,
        "\xa3\x06\x0b\x08\x01\x0c\xa4\x06"s, "\xa3\x06\x0b\x08\x01\xa4\x06"s, "\xa4\x06"s}) {
    v1::SpikeClusterRequest request;
    request.mutable_v()->set_data("1234");
    ExpectAsProtobuf<v1::SpikeClusterRequest>(unknown + request.SerializeAsString() + unknown);
    // The same inside of the tensor.
    const std::string tensor = request.v().SerializeAsString() + unknown;
    std::string bytes = {'\x0a', static_cast<char>(tensor.size())};
    ExpectAsProtobuf<v1::SpikeClusterRequest>(bytes.append(tensor));
  }
  ExpectAsProtobuf<v1::SpikeClusterRequest>(std::string(3000, '\x0b'));  // Groups that never end.
}

TEST_F(EnvelopeTest, AMessageWithoutTensorsIsParsedAsItIs) {
  v1::CreateNetworkRequest request;
  request.add_layers()->mutable_linear()->mutable_weight()->set_data(std::string(1000, 'w'));
  request.mutable_layers(0)->set_name("a");
  ExpectAsProtobuf<v1::CreateNetworkRequest>(request.SerializeAsString(), 100);
  ExpectAsProtobuf<v1::CreateNetworkRequest>(request.SerializeAsString().substr(0, 500), 100);
}

TEST_F(EnvelopeTest, ElementsAreAlignedAndTheirBufferIsUsedAgain) {
  v1::SpikeClusterRequest request;
  request.mutable_v()->set_data(std::string(300001, 'x'));
  const uint8_t* place = nullptr;
  for (int i = 0; i < 3; ++i) {
    const absl::StatusOr<Envelope> envelope = testing::ToEnvelope(request, buffers_);
    ASSERT_TRUE(envelope.ok());
    const TensorField* v = envelope->Find(v1::SpikeClusterRequest::kVFieldNumber);
    ASSERT_NE(v, nullptr);
    EXPECT_EQ(v->data.view(), request.v().data());
    EXPECT_EQ(reinterpret_cast<uintptr_t>(v->data.data) % 64, 0u);
    EXPECT_TRUE(i == 0 || v->data.data == place);
    place = v->data.data;
  }
}

TEST_F(EnvelopeTest, LargeTensorsAreWrittenFromWhereTheyAre) {
  Envelope envelope{std::make_unique<v1::SpikeClusterRequest>(), {}};
  const std::string large(100000, 'l');
  const std::string small(100, 's');
  for (const std::string* data : {&large, &small}) {
    TensorField& field = envelope.tensors.emplace_back();
    field.number = static_cast<int>(envelope.tensors.size());
    field.data = {reinterpret_cast<const uint8_t*>(data->data()), data->size()};
  }
  size_t copied = 0;
  bool in_place = false;
  for (const Bytes& piece : SerializeEnvelope(envelope)) {
    in_place |= piece.data == reinterpret_cast<const uint8_t*>(large.data());
    if (piece.data != reinterpret_cast<const uint8_t*>(large.data())) copied += piece.size;
  }
  EXPECT_TRUE(in_place);
  EXPECT_LT(copied, 200u);
  v1::SpikeClusterRequest request;
  ASSERT_TRUE(request.ParseFromString(testing::Serialized(envelope)));
  EXPECT_EQ(request.v().data(), large);
  EXPECT_EQ(request.v_threshold().data(), small);
}

TEST_F(EnvelopeTest, ARefusalNamesTheMessageAndHowMuchCame) {
  const absl::Status status = Parse("\x0a\x05xx", v1::SpikeClusterRequest::default_instance()).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("request: 4 bytes that do not parse"));
  EXPECT_THAT(std::string(status.message()), HasSubstr("spikeserve.v1.SpikeClusterRequest"));
}

}  // namespace
}  // namespace spikeserve::codec

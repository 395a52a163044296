#include "shared_memory/shared_tensors.h"

#include <fcntl.h>

#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "codec/tensor_codec.h"
#include "codec/typed_envelope.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "spikeserve/compute/field_error.h"
#include "spikeserve/v1/functions.pb.h"
#include "spikeserve/v1/shared_memory.pb.h"
#include "support/envelopes.h"
#include "support/shared_memory.h"

namespace spikeserve::shared_memory {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Request = v1::SpikeClusterRequest;

constexpr int64_t kBytes = 1000;
constexpr int64_t kRoomy = 1 << 20;

class ResolveTest : public ::testing::Test {
 protected:
  ResolveTest() {
    for (int64_t i = 0; i < kBytes; ++i) client_.as<uint8_t>()[i] = static_cast<uint8_t>(i);
  }

  // A request whose v is [elements] of `dtype` in the shared memory.
  Request RequestFor(uint64_t offset, uint64_t size, int64_t elements, v1::DataType dtype = v1::DATA_TYPE_UINT8) {
    Request request;
    request.mutable_v()->set_dtype(dtype);
    request.mutable_v()->add_shape(elements);
    v1::SharedMemory* shared = request.mutable_v()->mutable_shared();
    shared->set_handle(handle_);
    shared->set_offset(offset);
    shared->set_size(size);
    return request;
  }

  absl::Status ResolveRequest(const Request& request, int64_t max_bytes = kRoomy) {
    envelope_ = *testing::ToEnvelope(request, buffers_);
    EXPECT_TRUE(NamesSharedMemory(envelope_));
    return Resolve(envelope_, store_, max_bytes);
  }

  codec::TensorField& v() { return *envelope_.Find(Request::kVFieldNumber); }

  // That the request is refused, with its `field` at fault.
  void ExpectRefused(const Request& request, absl::StatusCode code, const std::string& field, const std::string& says,
                     int64_t max_bytes = kRoomy) {
    const absl::Status status = ResolveRequest(request, max_bytes);
    EXPECT_EQ(status.code(), code) << status;
    EXPECT_EQ(FieldOf(status), field);
    EXPECT_THAT(std::string(status.message()), HasSubstr(says));
    EXPECT_EQ(v().data.data, nullptr);
  }

  BufferPool buffers_{1 << 20};
  RegionStore store_{{}};
  RegionStore::Session session_{store_, 0};
  FileDescriptor memory_ = testing::MakeMemory(kBytes);
  testing::Mapping client_{memory_, kBytes};
  std::string handle_ = *session_.Add(memory_);
  codec::Envelope envelope_;
};

TEST_F(ResolveTest, APieceOfMemoryBecomesTheTensorsElements) {
  const uint8_t* const region = store_.Find(handle_)->data();
  struct Piece {
    uint64_t offset;
    int64_t size;
  };
  for (const Piece& piece : std::vector<Piece>{{0, kBytes}, {0, 1}, {kBytes - 1, 1}, {7, 13}, {64, 500}}) {
    ASSERT_TRUE(ResolveRequest(RequestFor(piece.offset, piece.size, piece.size)).ok());
    EXPECT_EQ(v().data.data, region + piece.offset);
    EXPECT_EQ(v().data.size, static_cast<size_t>(piece.size));
    EXPECT_TRUE(v().shared);
    EXPECT_FALSE(v().header.has_shared());
    EXPECT_FALSE(NamesSharedMemory(envelope_));
    const auto decoded = codec::Decode<uint8_t>({v().header, v().data.view()}, "v", codec::Accept::kNumber, kRoomy);
    ASSERT_TRUE(decoded.ok()) << decoded.status();
    EXPECT_EQ(decoded->values()[0], static_cast<uint8_t>(piece.offset));
  }
}

TEST_F(ResolveTest, TheElementsKeepTheirMemory) {
  ASSERT_TRUE(ResolveRequest(RequestFor(0, kBytes, kBytes)).ok());
  session_.Drop(handle_);
  EXPECT_EQ(v().data.data[5], 5);
  EXPECT_EQ(store_.UsageOf(0).regions, 1);
  envelope_ = {};
  EXPECT_EQ(store_.UsageOf(0).regions, 0);
}

TEST_F(ResolveTest, APieceBeyondTheMemoryIsRefused) {
  const auto invalid = absl::StatusCode::kInvalidArgument;
  ExpectRefused(RequestFor(0, kBytes + 1, kBytes + 1), invalid, "v.shared.offset", "0, with 1001 bytes from there");
  ExpectRefused(RequestFor(1, kBytes, kBytes), invalid, "v.shared.offset", "1, with 1000 bytes from there");
  ExpectRefused(RequestFor(kBytes, 1, 1), invalid, "v.shared.offset", "a piece of the memory's 1000 bytes");
  // Also where the sum wraps around.
  ExpectRefused(RequestFor(UINT64_MAX, 1, 1), invalid, "v.shared.offset", "18446744073709551615");
  ExpectRefused(RequestFor(UINT64_MAX - 4, 8, 8), invalid, "v.shared.offset", "18446744073709551611");
}

TEST_F(ResolveTest, ASizeThatDoesNotFitTheShapeIsRefused) {
  const auto invalid = absl::StatusCode::kInvalidArgument;
  ExpectRefused(RequestFor(0, 8, 3, v1::DATA_TYPE_FLOAT32), invalid, "v.shared.size",
                "8 bytes; need 12 bytes for FLOAT32 [3]");
  ExpectRefused(RequestFor(0, 0, 3), invalid, "v.shared.size", "0 bytes; need 3 bytes");
  ExpectRefused(RequestFor(0, 9, 9, v1::DATA_TYPE_BIT), invalid, "v.shared.size", "9 bytes; need 2 bytes for BIT [9]");
  ExpectRefused(RequestFor(0, UINT64_MAX, 8), invalid, "v.shared.size", "18446744073709551615 bytes; need 8");
  // A mask without a spike may be without elements, but not with the wrong number of them.
  ExpectRefused(RequestFor(0, 0, 3, v1::DATA_TYPE_BOOL), invalid, "v.shared.size", "0 bytes; need 3 bytes");
}

TEST_F(ResolveTest, ATensorWithoutElementsHasNone) {
  ASSERT_TRUE(ResolveRequest(RequestFor(kBytes, 0, 0)).ok());
  EXPECT_EQ(v().data.size, 0u);
}

TEST_F(ResolveTest, DtypeAndShapeAreCheckedFirst) {
  ExpectRefused(RequestFor(0, 1, 1, v1::DATA_TYPE_UNSPECIFIED), absl::StatusCode::kInvalidArgument, "v.dtype",
                "UNSPECIFIED");
  ExpectRefused(RequestFor(0, 1, -1), absl::StatusCode::kInvalidArgument, "v.shape", "[-1]");
  Request huge = RequestFor(0, 8, int64_t{1} << 62);
  huge.mutable_v()->add_shape(int64_t{1} << 62);
  ExpectRefused(huge, absl::StatusCode::kInvalidArgument, "v.shape", "below 2^63");
}

TEST_F(ResolveTest, WhatIsLargerThanATensorMayBeIsRefused) {
  ExpectRefused(RequestFor(0, 101, 101), absl::StatusCode::kResourceExhausted, "v.shape", "--max-decoded-bytes", 100);
  ExpectRefused(RequestFor(0, 800, 100, v1::DATA_TYPE_FLOAT64), absl::StatusCode::kResourceExhausted, "v.shape",
                "--max-decoded-bytes", 100);
  EXPECT_TRUE(ResolveRequest(RequestFor(0, 100, 100), 100).ok());
}

TEST_F(ResolveTest, AHandleThatIsUnknownIsRefusedAndNotRepeated) {
  Request request = RequestFor(0, 4, 4);
  const auto guessed = [&](const std::string& handle) {
    request.mutable_v()->mutable_shared()->set_handle(handle);
    return request;
  };
  ExpectRefused(guessed(""), absl::StatusCode::kInvalidArgument, "v.shared.handle", "empty");
  for (const std::string& handle :
       {std::string(16, '\0'), handle_.substr(1), handle_ + handle_, std::string("guess")}) {
    ExpectRefused(guessed(handle), absl::StatusCode::kNotFound, "v.shared.handle",
                  "need the handle of memory that was handed to this server and not dropped");
  }
  std::string close = handle_;
  close[15] = static_cast<char>(close[15] ^ 1);
  ExpectRefused(guessed(close), absl::StatusCode::kNotFound, "v.shared.handle", "unknown, 16 bytes");
  session_.Drop(handle_);
  const absl::Status dropped = ResolveRequest(guessed(handle_));
  EXPECT_TRUE(IsUnresolved(dropped)) << dropped;
  EXPECT_EQ(dropped.message().find(handle_), absl::string_view::npos);
}

TEST_F(ResolveTest, OneFormIsAllowed) {
  Request request = RequestFor(0, 4, 4);
  request.mutable_v()->set_data("1234");
  envelope_ = *testing::ToEnvelope(request, buffers_);
  EXPECT_THAT(std::string(Resolve(envelope_, store_, kRoomy).message()), HasSubstr("v: data and shared are set"));
  request.mutable_v()->clear_data();
  request.mutable_v()->add_values(1);
  ExpectRefused(request, absl::StatusCode::kInvalidArgument, "v", "values and shared are set");
  request.mutable_v()->add_event_deltas(1);
  ExpectRefused(request, absl::StatusCode::kInvalidArgument, "v", "values, event_deltas and shared are set");
}

TEST_F(ResolveTest, ATensorThatWasNotResolvedIsRefusedByTheCodec) {
  const absl::Status status =
      codec::Decode<uint8_t>(RequestFor(0, 4, 4).v(), "v", codec::Accept::kNumber, kRoomy).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(FieldOf(status), "v.shared");
  EXPECT_THAT(std::string(status.message()), HasSubstr("--shared-memory"));
  EXPECT_TRUE(IsUnresolved(status));
  EXPECT_EQ(codec::DecodeBits(RequestFor(0, 4, 4).v(), "v", 0, "", kRoomy).status().code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST_F(ResolveTest, OtherErrorsAreNotTakenForUnresolvedMemory) {
  EXPECT_FALSE(IsUnresolved(absl::OkStatus()));
  EXPECT_FALSE(IsUnresolved(FieldError(absl::StatusCode::kNotFound, "network", "x", "y")));
  EXPECT_FALSE(IsUnresolved(FieldError(absl::StatusCode::kFailedPrecondition, "step", "x", "y")));
  EXPECT_FALSE(IsUnresolved(InvalidField("v.shared.handle", "x", "y")));
  EXPECT_FALSE(IsUnresolved(absl::NotFoundError("v.shared.handle: x")));
}

TEST_F(ResolveTest, SharedElementsAreCopiedButForFieldsThatAreReadInPlace) {
  Request request = RequestFor(8, 16, 4, v1::DATA_TYPE_FLOAT32);
  *request.mutable_v_threshold() = request.v();
  request.mutable_v_threshold()->mutable_shared()->set_offset(16);
  request.set_t_in(3);
  ASSERT_TRUE(ResolveRequest(request).ok());
  const codec::TensorField& threshold = *envelope_.Find(Request::kVThresholdFieldNumber);

  const auto copy = codec::CopyShared(
      envelope_, {{Request::kVFieldNumber, {v1::DATA_TYPE_FLOAT64, v1::DATA_TYPE_FLOAT32}}}, buffers_);
  ASSERT_TRUE(copy.has_value());
  EXPECT_EQ(static_cast<const Request&>(*copy->message).t_in(), 3);
  const codec::TensorField& copied = *copy->Find(Request::kVThresholdFieldNumber);
  EXPECT_EQ(copy->Find(Request::kVFieldNumber)->data.data, v().data.data);
  EXPECT_FALSE(copied.shared);
  EXPECT_EQ(copied.data.view(), threshold.data.view());
  client_.as<uint8_t>()[16] = 99;
  EXPECT_EQ(threshold.data.data[0], 99);
  EXPECT_EQ(copied.data.data[0], 16);
}

TEST_F(ResolveTest, FieldsAreReadInPlaceOnlyWithADtypeThatIsAllowed) {
  ASSERT_TRUE(ResolveRequest(RequestFor(0, 16, 16)).ok());
  const auto copied = [&](std::vector<codec::InPlaceField> in_place) {
    return codec::CopyShared(envelope_, in_place, buffers_).has_value();
  };
  EXPECT_TRUE(copied({}));
  EXPECT_TRUE(copied({{Request::kVFieldNumber, {v1::DATA_TYPE_FLOAT32}}}));
  EXPECT_TRUE(copied({{Request::kVThresholdFieldNumber, {v1::DATA_TYPE_UINT8}}}));
  EXPECT_FALSE(copied({{Request::kVFieldNumber, {v1::DATA_TYPE_FLOAT32, v1::DATA_TYPE_UINT8}}}));
}

// Results of a call, and pieces of memory for them.
class PlaceResultsTest : public ResolveTest {
 protected:
  using Response = v1::SpikeClusterResponse;

  // A response with a tensor of so many bytes in each field.
  codec::Envelope ResponseOf(const std::vector<int64_t>& sizes) {
    codec::Outgoing<Response> response(buffers_);
    int number = 0;
    for (const int64_t size : sizes) {
      const std::string bytes(static_cast<size_t>(size), static_cast<char>('a' + number++));
      codec::EncodeTensor(TensorView(DataType::kUint8, {size}, bytes.data()), response.tensor(number));
    }
    return std::move(response).Release();
  }

  void Offer(uint64_t offset, uint64_t size) {
    v1::SharedMemory* piece = offer_.add_pieces();
    piece->set_handle(handle_);
    piece->set_offset(offset);
    piece->set_size(size);
  }

  // What was written where: the offset of each field's tensor, -1 for one that is sent.
  std::vector<int64_t> Place(const std::vector<int64_t>& sizes) {
    codec::Envelope response = ResponseOf(sizes);
    const codec::Envelope original = response.Share();
    PlaceResults(offer_.SerializeAsString(), store_, response);
    std::vector<int64_t> offsets;
    for (size_t i = 0; i < sizes.size(); ++i) {
      const codec::TensorField& tensor = response.tensors[i];
      const absl::string_view elements = original.tensors[i].data.view();
      offsets.push_back(tensor.header.has_shared() ? static_cast<int64_t>(tensor.header.shared().offset()) : -1);
      if (!tensor.header.has_shared()) {
        EXPECT_EQ(tensor.data.view(), elements);
        continue;
      }
      EXPECT_EQ(tensor.data.size, 0u);
      EXPECT_EQ(tensor.header.shared().handle(), handle_);
      EXPECT_EQ(tensor.header.shared().size(), elements.size());
      EXPECT_EQ(elements, absl::string_view(client_.as<char>() + offsets.back(), elements.size()));
    }
    return offsets;
  }

  v1::ResultMemory offer_;
};

TEST_F(PlaceResultsTest, EachTensorGoesIntoTheSmallestPieceThatTheLargerOnesLeave) {
  Offer(0, 100);
  Offer(200, 300);
  Offer(600, 200);
  EXPECT_THAT(Place({100, 200, 300}), ElementsAre(0, 600, 200));
  EXPECT_THAT(Place({300, 10, 90}), ElementsAre(200, 600, 0));
  EXPECT_THAT(Place({301, 1, 0}), ElementsAre(-1, 0, -1));
  EXPECT_THAT(Place({150, 150, 150}), ElementsAre(600, 200, -1));
}

TEST_F(PlaceResultsTest, NothingElseIsWritten) {
  std::memset(client_.as<char>(), '.', kBytes);
  Offer(10, 20);
  Offer(990, 10);
  Place({20, 10});
  EXPECT_EQ(std::string(client_.as<char>(), kBytes),
            std::string(10, '.') + std::string(20, 'a') + std::string(960, '.') + std::string(10, 'b'));
}

TEST_F(PlaceResultsTest, PiecesThatAreNotWithinTheMemoryAreNotUsed) {
  Offer(0, kBytes + 1);
  Offer(1, kBytes);
  Offer(kBytes, 1);
  Offer(UINT64_MAX, 16);
  Offer(16, UINT64_MAX);
  EXPECT_THAT(Place({1, 16}), ElementsAre(-1, -1));
}

TEST_F(PlaceResultsTest, OnlyMemoryThatIsKnownIsUsed) {
  Offer(0, 100);
  offer_.mutable_pieces(0)->set_handle(std::string(16, 'x'));
  EXPECT_THAT(Place({10}), ElementsAre(-1));
}

TEST_F(PlaceResultsTest, MemoryThatTheClientDoesNotLetBeWrittenIsNotUsed) {
  const FileDescriptor for_reading(open(absl::StrCat("/proc/self/fd/", memory_.get()).c_str(), O_RDONLY | O_CLOEXEC));
  const std::string handle = *session_.Add(for_reading);
  EXPECT_EQ(store_.Find(handle)->writable_data(), nullptr);
  EXPECT_EQ(store_.Find(handle)->data()[7], 7);
  Offer(0, 100);
  offer_.mutable_pieces(0)->set_handle(handle);
  EXPECT_THAT(Place({10}), ElementsAre(-1));
  // Also where a seal says so.
  ASSERT_EQ(fcntl(memory_.get(), F_ADD_SEALS, F_SEAL_FUTURE_WRITE), 0);
  const std::string sealed = *session_.Add(memory_);
  EXPECT_EQ(store_.Find(sealed)->writable_data(), nullptr);
  EXPECT_EQ(store_.Find(sealed)->data()[7], 7);
}

TEST_F(PlaceResultsTest, AnOfferThatIsNoneIsPassedOver) {
  for (const std::string& offer : {std::string(), std::string("garbage"), std::string(5000, '\xff')}) {
    codec::Envelope response = ResponseOf({10});
    PlaceResults(offer, store_, response);
    EXPECT_EQ(response.tensors[0].data.size, 10u);
  }
}

}  // namespace
}  // namespace spikeserve::shared_memory

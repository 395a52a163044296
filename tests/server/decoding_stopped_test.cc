// Decoding what nobody waits for ends soon.

#include <string>
#include <utility>
#include <vector>

#include "codec/room.h"
#include "codec/tensor_codec.h"
#include "gtest/gtest.h"

namespace spikeserve::codec {
namespace {

constexpr int64_t kMega = int64_t{1} << 20;

// Room without end, which is wanted for so many questions.
class WantedFor final : public Memory {
 public:
  explicit WantedFor(int questions) : questions_(questions) {}
  absl::Status Take(int64_t) override { return absl::OkStatus(); }
  absl::Status Expect(int64_t) override { return absl::OkStatus(); }
  absl::Status Wanted() override {
    return asked_++ < questions_ ? absl::OkStatus() : absl::CancelledError("nobody waits");
  }
  int asked() const { return asked_; }

 private:
  const int questions_;
  int asked_ = 0;
};

v1::Tensor Zeros(v1::DataType dtype, std::vector<int64_t> shape, size_t bytes) {
  v1::Tensor tensor;
  tensor.set_dtype(dtype);
  tensor.mutable_shape()->Assign(shape.begin(), shape.end());
  tensor.set_data(std::string(bytes, '\0'));
  return tensor;
}

v1::Tensor Events(int64_t count) {
  v1::Tensor tensor = Zeros(v1::DATA_TYPE_BOOL, {count}, 0);
  for (int64_t i = 0; i < count; ++i) tensor.add_event_deltas(i > 0 ? 1 : 0);
  return tensor;
}

v1::Tensor Values(int64_t count) {
  v1::Tensor tensor = Zeros(v1::DATA_TYPE_FLOAT32, {count}, 0);
  tensor.mutable_values()->Resize(static_cast<int>(count), 1);
  return tensor;
}

// `decode` takes a Room: it asks at least once for each million of `elements`, and goes on no longer than it is told.
template <typename Decoding>
void ExpectStops(int64_t elements, Decoding decode) {
  WantedFor all(1'000'000);
  const absl::Status whole = decode(Room(int64_t{1} << 40, all));
  EXPECT_TRUE(whole.ok()) << whole;
  EXPECT_GE(all.asked(), elements / kMega - 1);
  for (int questions = 0; questions < all.asked(); ++questions) {
    WantedFor some(questions);
    EXPECT_EQ(decode(Room(int64_t{1} << 40, some)).code(), absl::StatusCode::kCancelled) << questions;
    EXPECT_LE(some.asked(), questions + 2);
  }
}

TEST(DecodingStopped, Elements) {
  for (const auto& [tensor, accept] :
       {std::pair{Zeros(v1::DATA_TYPE_UINT8, {4 * kMega}, 4 * kMega), Accept::kNumber},
        std::pair{Zeros(v1::DATA_TYPE_UINT8, {4 * kMega}, 4 * kMega), Accept::kBinary},
        std::pair{Zeros(v1::DATA_TYPE_BIT, {4 * kMega}, kMega / 2), Accept::kNumber},
        // Of which only the shape was sent.
        std::pair{Zeros(v1::DATA_TYPE_BIT, {4 * kMega}, 0), Accept::kNumber},
        std::pair{Events(4 * kMega), Accept::kNumber}, std::pair{Values(4 * kMega), Accept::kNumber}}) {
    ExpectStops(4 * kMega, [&](const Room& room) { return Decode<float>(tensor, "x", accept, room).status(); });
  }
}

// Which are computed with as they are.
TEST(DecodingStopped, TheCheckOfAMask) {
  const v1::Tensor mask = Zeros(v1::DATA_TYPE_BOOL, {4 * kMega}, 4 * kMega);
  ExpectStops(4 * kMega, [&](const Room& room) { return Decode<uint8_t>(mask, "x", Accept::kBinary, room).status(); });
}

TEST(DecodingStopped, Bits) {
  for (const v1::Tensor& tensor : {Zeros(v1::DATA_TYPE_UINT8, {4, kMega}, 4 * kMega),
                                   Zeros(v1::DATA_TYPE_BIT, {4, 1024, 1024}, kMega / 2), Values(4 * kMega)}) {
    ExpectStops(4 * kMega, [&](const Room& room) {
      return DecodeBits(tensor, "x", /*row_dimensions=*/tensor.shape_size() > 1 ? 1 : 0, "[N, ...]", room).status();
    });
  }
}

}  // namespace
}  // namespace spikeserve::codec

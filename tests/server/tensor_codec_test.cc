#include "codec/tensor_codec.h"

#include <cmath>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace spikeserve::codec {
namespace {

constexpr int64_t kRoomy = 1 << 20;

// The same 0/1 elements in each form and dtype that can hold them.
std::vector<v1::Tensor> AllForms(const std::vector<int>& elements, const std::vector<int64_t>& shape) {
  std::vector<v1::Tensor> forms;
  for (const DataType dtype : {DataType::kBool, DataType::kBit, DataType::kUint8, DataType::kInt32, DataType::kInt64,
                               DataType::kFloat32, DataType::kFloat64}) {
    v1::Tensor values;
    values.set_dtype(ToWire(dtype));
    values.mutable_shape()->Assign(shape.begin(), shape.end());
    v1::Tensor data = values, events = values;
    uint64_t last = 0;
    uint8_t* bytes = TensorTarget(&data).Room(dtype, shape);
    std::fill_n(bytes, data.data().size(), uint8_t{0});
    for (size_t i = 0; i < elements.size(); ++i) {
      values.add_values(elements[i]);
      if (elements[i]) {
        events.add_event_deltas(i - last);
        last = i;
      }
      const size_t width = shape.back();
      switch (dtype) {
        case DataType::kBit:
          bytes[i / width * ((width + 7) / 8) + i % width / 8] |= elements[i] << (i % width % 8);
          break;
        case DataType::kInt32:
          reinterpret_cast<int32_t*>(bytes)[i] = elements[i];
          break;
        case DataType::kInt64:
          reinterpret_cast<int64_t*>(bytes)[i] = elements[i];
          break;
        case DataType::kFloat32:
          reinterpret_cast<float*>(bytes)[i] = elements[i];
          break;
        case DataType::kFloat64:
          reinterpret_cast<double*>(bytes)[i] = elements[i];
          break;
        default:
          bytes[i] = elements[i];
      }
    }
    forms.push_back(values);
    forms.push_back(data);
    // Without an event only BOOL and BIT can tell a silent tensor from one whose elements are missing.
    if (last > 0 || elements[0] || dtype == DataType::kBool || dtype == DataType::kBit) forms.push_back(events);
  }
  return forms;
}

TEST(TensorCodec, EveryFormOfAMaskDecodesToTheSame) {
  std::mt19937 random(1);
  for (const std::vector<int64_t>& shape :
       std::vector<std::vector<int64_t>>{{1}, {7}, {8}, {9}, {3, 5}, {2, 3, 17}, {4, 64}}) {
    int64_t count = 1;
    for (int64_t length : shape) count *= length;
    for (int percent : {0, 10, 50, 100}) {
      std::vector<int> elements(count);
      for (int& e : elements) e = static_cast<int>(random() % 100) < percent;
      for (const v1::Tensor& form : AllForms(elements, shape)) {
        const auto bytes = Decode<uint8_t>(form, "x", Accept::kBinary, kRoomy);
        ASSERT_TRUE(bytes.ok()) << bytes.status() << form.ShortDebugString();
        EXPECT_TRUE(std::equal(elements.begin(), elements.end(), bytes->values().begin(), bytes->values().end()));
        const auto floats = Decode<float>(form, "x", Accept::kNumber, kRoomy);
        ASSERT_TRUE(floats.ok());
        EXPECT_TRUE(std::equal(elements.begin(), elements.end(), floats->values().begin(), floats->values().end()));
      }
    }
  }
}

TEST(TensorCodec, AMaskOfBytesOrFloatsDecodesToWhatWasEncoded) {
  for (const Shape& shape : {Shape{0}, Shape{0, 3}, Shape{3, 0}, Shape{1}, Shape{8}, Shape{3, 9}, Shape{2, 3, 17}}) {
    std::vector<uint8_t> bytes(*ElementCount(shape));
    for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = i % 3 == 0;
    const std::vector<float> floats(bytes.begin(), bytes.end());
    for (const DataType dtype : {DataType::kBool, DataType::kBit}) {
      // Into a tensor that held something before, of which nothing may stay.
      v1::Tensor from_bytes;
      from_bytes.set_data(std::string(1000, '\xff'));
      v1::Tensor from_floats = from_bytes;
      EncodeMask(absl::MakeConstSpan(bytes), shape, dtype, &from_bytes);
      EncodeMask(absl::MakeConstSpan(floats), shape, dtype, &from_floats);
      EXPECT_EQ(from_bytes.SerializeAsString(), from_floats.SerializeAsString());
      const auto array = Decode<uint8_t>(from_bytes, "x", Accept::kBinary, kRoomy);
      ASSERT_TRUE(array.ok()) << array.status();
      EXPECT_EQ(array->shape(), shape);
      EXPECT_THAT(array->values(), ::testing::ElementsAreArray(bytes));
    }
  }
}

TEST(TensorCodec, EveryFormBecomesTheSameBits) {
  std::mt19937 random(5);
  for (const std::vector<int64_t>& shape :
       std::vector<std::vector<int64_t>>{{1}, {3, 17}, {2, 3, 5}, {5, 64}, {0, 4}, {4, 0}, {7, 1, 9}}) {
    int64_t count = 1;
    for (const int64_t length : shape) count *= length;
    std::vector<int> elements(static_cast<size_t>(count));
    for (int& element : elements) element = static_cast<int>(random() % 2);
    if (count == 0) continue;
    for (const v1::Tensor& form : AllForms(elements, shape)) {
      for (size_t row_dimensions = 0; row_dimensions < shape.size(); ++row_dimensions) {
        const auto bits = DecodeBits(form, "x", row_dimensions, "needed", kRoomy);
        ASSERT_TRUE(bits.ok()) << bits.status() << form.ShortDebugString();
        EXPECT_EQ(bits->shape(), Shape(shape.begin(), shape.end()));
        int64_t rows = 1;
        for (size_t d = 0; d < row_dimensions; ++d) rows *= shape[d];
        const int64_t cols = count / rows;
        ASSERT_EQ(bits->bits().rows(), rows);
        ASSERT_EQ(bits->bits().cols(), cols);
        for (int64_t i = 0; i < count; ++i) {
          EXPECT_EQ(bits->bits()(i / cols, i % cols), elements[i] != 0) << form.ShortDebugString();
        }
      }
    }
  }
}

TEST(TensorCodec, BitsOfOtherThan0And1AreRefusedByElement) {
  v1::Tensor tensor;
  tensor.set_dtype(v1::DATA_TYPE_FLOAT32);
  tensor.add_shape(2);
  tensor.add_shape(2);
  const float elements[] = {0, 1, NAN, 1};
  tensor.set_data(std::string(reinterpret_cast<const char*>(elements), sizeof(elements)));
  const absl::Status status = DecodeBits(tensor, "x", 1, "needed", kRoomy).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(status.message(), "x: element 2 is nan; need 0 or 1");
}

TEST(TensorCodec, BitsAreCountedWithTheirPaddingBeforeAnythingIsAllocated) {
  v1::Tensor tensor;
  tensor.set_dtype(v1::DATA_TYPE_BIT);
  tensor.add_shape(int64_t{1} << 20);
  tensor.add_shape(1);
  tensor.add_event_deltas(3);
  EXPECT_EQ(DecodeBits(tensor, "x", 1, "needed", kRoomy).status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(DecodeBits(tensor, "x", 0, "needed", kRoomy).ok());
}

TEST(TensorCodec, ABitTensorIsReadInPlace) {
  v1::Tensor tensor;
  tensor.set_dtype(v1::DATA_TYPE_BIT);
  tensor.add_shape(2);
  tensor.add_shape(11);
  tensor.set_data(std::string("\x01\xfa\x02\xff", 4));
  const auto bits = DecodeBits(tensor, "x", 1, "needed", kRoomy);
  ASSERT_TRUE(bits.ok());
  EXPECT_EQ(static_cast<const void*>(bits->bits().data()), tensor.data().data());
}

TEST(TensorCodec, AResultIsTakenWithoutACopyWhereNobodyElseHasIt) {
  BufferPool buffers(0);
  TensorField field;
  TensorTarget(&field, &buffers).Room(DataType::kInt32, {5});
  const void* place = field.data.data;
  TensorField shared = field;
  const auto copy = TakeTensor(shared, "x", kRoomy);
  ASSERT_TRUE(copy.ok());
  EXPECT_NE(copy->data(), place);
  shared = {};
  const auto taken = TakeTensor(field, "x", kRoomy);
  ASSERT_TRUE(taken.ok());
  EXPECT_EQ(taken->data(), place);
}

TEST(TensorCodec, PaddingBitsAreIgnored) {
  v1::Tensor tensor;
  tensor.set_dtype(v1::DATA_TYPE_BIT);
  tensor.add_shape(2);
  tensor.add_shape(3);
  tensor.set_data("\xfa\xff");
  const auto array = Decode<uint8_t>(tensor, "x", Accept::kBinary, kRoomy);
  ASSERT_TRUE(array.ok());
  EXPECT_THAT(array->values(), ::testing::ElementsAre(0, 1, 0, 1, 1, 1));
}

TEST(TensorCodec, ElementsOfTheRightTypeAreReadInPlace) {
  v1::Tensor tensor;
  float* out = reinterpret_cast<float*>(TensorTarget(&tensor).Room(DataType::kFloat32, {100}));
  out[99] = 7;
  const auto array = Decode<float>(tensor, "x", Accept::kFloat, kRoomy);
  ASSERT_TRUE(array.ok());
  EXPECT_EQ(static_cast<const void*>(array->values().data()), tensor.data().data());
  EXPECT_EQ(array->values()[99], 7);
}

TEST(TensorCodec, ValuesAreRoundedToTheirDtype) {
  v1::Tensor tensor;
  tensor.set_dtype(v1::DATA_TYPE_FLOAT32);
  tensor.add_values(0.1);
  const auto array = Decode<double>(tensor, "x", Accept::kNumber, kRoomy);
  ASSERT_TRUE(array.ok());
  EXPECT_EQ(array->values()[0], double{0.1f});
}

TEST(TensorCodec, ValuesThatADtypeCannotHoldAreRefused) {
  const auto refused = [](v1::DataType dtype, double value) {
    v1::Tensor tensor;
    tensor.set_dtype(dtype);
    tensor.add_values(value);
    return Decode<double>(tensor, "x", Accept::kNumber, kRoomy).status().code() == absl::StatusCode::kInvalidArgument;
  };
  EXPECT_TRUE(refused(v1::DATA_TYPE_UINT8, -1));
  EXPECT_TRUE(refused(v1::DATA_TYPE_UINT8, 0.5));
  EXPECT_TRUE(refused(v1::DATA_TYPE_INT32, 2147483648.0));
  EXPECT_FALSE(refused(v1::DATA_TYPE_INT32, -2147483648.0));
  EXPECT_TRUE(refused(v1::DATA_TYPE_INT64, 0x1p63));
  EXPECT_FALSE(refused(v1::DATA_TYPE_INT64, -0x1p63));
  EXPECT_TRUE(refused(v1::DATA_TYPE_INT64, NAN));
  EXPECT_TRUE(refused(v1::DATA_TYPE_FLOAT32, 1e39));
  EXPECT_FALSE(refused(v1::DATA_TYPE_FLOAT32, INFINITY));
  EXPECT_TRUE(refused(v1::DATA_TYPE_BOOL, 2));
}

TEST(TensorCodec, SizesAreCheckedBeforeAnythingIsAllocated) {
  // Bits that are few on the wire and too many as floats; and shapes that make work out of nothing.
  v1::Tensor tensor;
  tensor.set_dtype(v1::DATA_TYPE_BIT);
  tensor.add_shape(int64_t{1} << 40);
  tensor.add_event_deltas(3);
  EXPECT_EQ(Decode<float>(tensor, "x", Accept::kNumber, kRoomy).status().code(), absl::StatusCode::kResourceExhausted);
  tensor.clear_event_deltas();
  tensor.add_shape(0);
  EXPECT_EQ(Decode<float>(tensor, "x", Accept::kNumber, kRoomy).status().code(), absl::StatusCode::kResourceExhausted);
}

// A client that believed it would read what is not there.
TEST(Decode, AResultHasAllOfItsElementsAlsoWhereItIsAMask) {
  TensorField field;
  field.header.set_dtype(v1::DATA_TYPE_BOOL);
  field.header.add_shape(1 << 30);
  field.data.owner = std::make_shared<std::string>("");
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(TakeTensor(field, "index", INT64_MAX).status().message(),
              "index.data: 0 bytes; need 1073741824 bytes for BOOL [1073741824]");
    field.header.mutable_shape()->Set(0, int64_t{1} << 50);
    EXPECT_EQ(DecodeTensor(field.header, "index", INT64_MAX).status().code(), absl::StatusCode::kInvalidArgument);
    field.header.mutable_shape()->Set(0, 1 << 30);
    field.data.owner.reset();
  }
}

TEST(Decode, AShapeHasAtMostSoManyLengths) {
  v1::Tensor tensor;
  tensor.set_dtype(v1::DATA_TYPE_FLOAT32);
  tensor.add_values(1);
  tensor.mutable_shape()->Resize(kMaxRank, 1);
  EXPECT_TRUE(Decode<float>(tensor, "x", Accept::kNumber, kRoomy).ok());
  tensor.add_shape(1);
  EXPECT_EQ(Decode<float>(tensor, "x", Accept::kNumber, kRoomy).status().message(),
            "x.shape: 65 lengths; need at most 64");
}

}  // namespace
}  // namespace spikeserve::codec

// The element types of tensors.

#ifndef SPIKESERVE_COMPUTE_DATA_TYPE_H_
#define SPIKESERVE_COMPUTE_DATA_TYPE_H_

#include <cstdint>
#include <string_view>

namespace spikeserve {

enum class DataType {
  kBool,     // One byte an element, 0 or 1.
  kBit,      // Eight elements a byte along the last dimension, least significant bit first, rows padded to whole bytes.
  kUint8,    //
  kInt32,    //
  kInt64,    //
  kFloat32,  //
  kFloat64,  //
};

// The name as requests and messages have it, such as "FLOAT32".
std::string_view DataTypeName(DataType dtype);

// The DataType of the C++ type T: DataTypeOf<float>::value is kFloat32. There is none for kBit, which has no C++ type.
template <typename T>
struct DataTypeOf;
template <>
struct DataTypeOf<bool> {
  static constexpr DataType value = DataType::kBool;
};
template <>
struct DataTypeOf<uint8_t> {
  static constexpr DataType value = DataType::kUint8;
};
template <>
struct DataTypeOf<int32_t> {
  static constexpr DataType value = DataType::kInt32;
};
template <>
struct DataTypeOf<int64_t> {
  static constexpr DataType value = DataType::kInt64;
};
template <>
struct DataTypeOf<float> {
  static constexpr DataType value = DataType::kFloat32;
};
template <>
struct DataTypeOf<double> {
  static constexpr DataType value = DataType::kFloat64;
};

}  // namespace spikeserve

#endif  // SPIKESERVE_COMPUTE_DATA_TYPE_H_

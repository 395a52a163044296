#include "spikeserve/compute/data_type.h"

namespace spikeserve {

std::string_view DataTypeName(DataType dtype) {
  static constexpr std::string_view kNames[] = {"BOOL", "BIT", "UINT8", "INT32", "INT64", "FLOAT32", "FLOAT64"};
  return kNames[static_cast<int>(dtype)];
}

}  // namespace spikeserve

// Requests of few bytes that have large answers.

#ifndef SPIKESERVE_TESTS_SUPPORT_LARGE_ANSWERS_H_
#define SPIKESERVE_TESTS_SUPPORT_LARGE_ANSWERS_H_

#include <cstdint>
#include <string>

#include "spikeserve/v1/functions.pb.h"

namespace spikeserve::testing {

inline constexpr char kRedundantOneHot[] = "/spikeserve.v1.SpikeFunctionService/RedundantOneHot";

// A message for it of about so many bytes; its answer has 40 KB for each.
inline std::string OneHotRequest(int64_t labels) {
  v1::RedundantOneHotRequest request;
  request.mutable_labels()->set_dtype(v1::DATA_TYPE_UINT8);
  request.mutable_labels()->add_shape(labels);
  request.mutable_labels()->set_data(std::string(labels, '\1'));
  request.set_num_classes(10);
  request.set_n(1000);
  return request.SerializeAsString();
}

}  // namespace spikeserve::testing

#endif  // SPIKESERVE_TESTS_SUPPORT_LARGE_ANSWERS_H_

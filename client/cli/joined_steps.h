// Steps that come in blocks, and are one array in the end.

#ifndef SPIKESERVE_CLI_JOINED_STEPS_H_
#define SPIKESERVE_CLI_JOINED_STEPS_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "spikeserve/compute/data_type.h"
#include "spikeserve/compute/shape.h"
#include "spikeserve/compute/tensor.h"

namespace spikeserve::cli {

class JoinedSteps {
 public:
  // INTERNAL where the block's steps are not like those before: what a server sends is not taken on trust.
  absl::Status Add(Tensor block) {
    const Shape& shape = block.shape();
    const auto refused = [&](const char* needed) {
      return absl::InternalError(absl::StrCat("the server's block ", blocks_.size(), " is ",
                                              std::string(DataTypeName(block.dtype())), " ", ShapeString(shape),
                                              "; need ", needed));
    };
    if (shape.empty() || shape[0] > std::numeric_limits<int64_t>::max() - steps_) return refused("[T, ...]");
    if (!blocks_.empty()) {
      const Shape& first = blocks_[0].shape();
      if (block.dtype() != blocks_[0].dtype() ||
          !std::equal(first.begin() + 1, first.end(), shape.begin() + 1, shape.end())) {
        return refused("steps like those of the first");
      }
    }
    steps_ += shape[0];
    blocks_.push_back(std::move(block));
    return absl::OkStatus();
  }

  // All of them as one tensor; nullopt where none came.
  std::optional<Tensor> Release() {
    if (blocks_.empty()) return std::nullopt;
    Shape shape = blocks_[0].shape();
    shape[0] = std::exchange(steps_, 0);
    Tensor joined(blocks_[0].dtype(), std::move(shape));
    auto* to = static_cast<std::byte*>(joined.data());
    for (const Tensor& block : blocks_) {
      const auto* from = static_cast<const std::byte*>(block.data());
      to = std::copy(from, from + block.byte_size(), to);
    }
    blocks_.clear();
    return joined;
  }

 private:
  std::vector<Tensor> blocks_;
  int64_t steps_ = 0;
};

}  // namespace spikeserve::cli

#endif  // SPIKESERVE_CLI_JOINED_STEPS_H_

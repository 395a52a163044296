#include "piecewise.h"

#include <cstring>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace spikeserve {

absl::Status RowCollector::Add(const TensorView& piece) {
  if (piece.dtype() != whole_.dtype() || piece.byte_size() > whole_.byte_size() - bytes_) {
    return absl::InternalError("the server's response has other elements than the request asked for");
  }
  if (piece.byte_size() > 0) {
    std::memcpy(static_cast<std::byte*>(whole_.data()) + bytes_, piece.data(), static_cast<size_t>(piece.byte_size()));
  }
  bytes_ += piece.byte_size();
  return absl::OkStatus();
}

absl::StatusOr<Tensor> RowCollector::Take() {
  if (bytes_ != whole_.byte_size()) {
    return absl::InternalError(absl::StrCat("the server's response has ", bytes_, " bytes of ", whole_.byte_size()));
  }
  return std::move(whole_);
}

}  // namespace spikeserve

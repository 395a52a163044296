#include "handlers/row_store.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <string>
#include <type_traits>

#include "absl/strings/str_cat.h"
#include "handlers/operands.h"
#include "runtime/limits.h"
#include "spikeserve/compute/field_error.h"
#include "status_macros.h"

namespace spikeserve::server {
namespace {

// Of rows that are padded at once.
constexpr int64_t kPartBytes = 1 << 20;

// Appends to `to`, which has the capacity. Where nobody wants it any more, only a part.
template <typename T>
absl::Status AppendInPieces(absl::Span<const T> more, std::vector<T>& to, const Context& context) {
  return codec::InPieces(static_cast<int64_t>(more.size()), context.room, [&](int64_t begin, int64_t end) {
    to.insert(to.end(), more.begin() + begin, more.begin() + end);
    return absl::OkStatus();
  });
}

// Makes room for `more` elements.
template <typename T>
absl::Status Grow(int64_t more, std::vector<T>& elements, const Context& context) {
  const size_t size = elements.size() + static_cast<size_t>(more);
  if (size <= elements.capacity()) return absl::OkStatus();
  const size_t capacity = std::max(size, 2 * elements.capacity());
  // Beside the old ones, which are there until they have moved.
  SPIKESERVE_RETURN_IF_ERROR(context.room.Take(static_cast<int64_t>(capacity), sizeof(T)));
  std::vector<T> grown;
  grown.reserve(capacity);
  SPIKESERVE_RETURN_IF_ERROR(AppendInPieces(absl::MakeConstSpan(elements), grown, context));
  elements = std::move(grown);
  return absl::OkStatus();
}

template <typename T>
absl::Status AddElements(absl::Span<const T> more, std::vector<T>& to, const Context& context) {
  SPIKESERVE_RETURN_IF_ERROR(Grow(static_cast<int64_t>(more.size()), to, context));
  return AppendInPieces(more, to, context);
}

}  // namespace

absl::Status RowStore::CheckRoom(int64_t rows, int64_t row_bytes, std::string_view field,
                                 const Context& context) const {
  const int64_t limit = context.limits.max_decoded_bytes;
  // What has no columns is as many rows all the same.
  if (rows <= limit / std::max<int64_t>(row_bytes, 1) - rows_) return absl::OkStatus();
  return OverLimit(field, rows_ + rows, absl::StrCat("rows of ", row_bytes, " bytes together"), limit,
                   "--max-decoded-bytes");
}

template <>
std::vector<float>& RowStore::scalars<float>() {
  return floats_;
}

template <>
std::vector<double>& RowStore::scalars<double>() {
  return doubles_;
}

absl::Status RowStore::Append(const codec::WireTensor& piece, std::string_view field, Context& context) {
  const Kind kind = codec::IsBinary(piece.header)                   ? Kind::kBits
                    : piece.header.dtype() == v1::DATA_TYPE_FLOAT64 ? Kind::kDouble
                                                                    : Kind::kFloat;
  if (kind_ != Kind::kNone && kind != kind_) {
    return InvalidField(absl::StrCat(std::string(field), ".dtype"), "another than the first piece's",
                        "pieces of one dtype");
  }
  SPIKESERVE_ASSIGN_OR_RETURN(const Shape shape,
                              codec::DecodeShape(piece.header.shape(), absl::StrCat(std::string(field), ".shape")));
  SPIKESERVE_RETURN_IF_ERROR(codec::CheckRank(shape, 2, field, "[rows, M]"));
  if (kind_ != Kind::kNone && piece.header.shape(1) != cols_) {
    return InvalidField(field, absl::StrCat(piece.header.shape(1), " columns"),
                        absl::StrCat(cols_, ", as the first piece has"));
  }
  switch (kind) {
    case Kind::kBits:
      SPIKESERVE_RETURN_IF_ERROR(AppendBits(piece, field, context));
      break;
    case Kind::kDouble:
      SPIKESERVE_RETURN_IF_ERROR(AppendScalars<double>(piece, field, context));
      break;
    default:
      SPIKESERVE_RETURN_IF_ERROR(AppendScalars<float>(piece, field, context));
  }
  kind_ = kind;
  cols_ = piece.header.shape(1);
  rows_ += piece.header.shape(0);
  return absl::OkStatus();
}

absl::Status RowStore::AppendBits(const codec::WireTensor& piece, std::string_view field, Context& context) {
  SPIKESERVE_ASSIGN_OR_RETURN(const codec::BitArray array,
                              codec::DecodeBits(piece, field, /*row_dimensions=*/1, "[rows, M]", context.room));
  const BitMatrixView unpadded = array.bits();
  const int64_t rows = unpadded.rows(), cols = unpadded.cols();
  bit_row_bytes_ = BitMatrix(0, cols).row_bytes();
  SPIKESERVE_RETURN_IF_ERROR(CheckRoom(rows, bit_row_bytes_, field, context));
  SPIKESERVE_RETURN_IF_ERROR(Grow(rows * bit_row_bytes_, bits_, context));
  // Padded as products want them, some rows after the other.
  const int64_t part = kPartBytes / std::max<int64_t>(bit_row_bytes_, 1) + 1;
  for (int64_t begin = 0; begin < rows && cols > 0; begin += part) {
    const int64_t count = std::min(part, rows - begin);
    const BitMatrix padded(BitMatrixView(unpadded.row(begin), count, cols, unpadded.row_bytes()));
    SPIKESERVE_RETURN_IF_ERROR(
        AppendInPieces(absl::MakeConstSpan(padded.row(0), count * bit_row_bytes_), bits_, context));
  }
  return absl::OkStatus();
}

template <typename Scalar>
absl::Status RowStore::AppendScalars(const codec::WireTensor& piece, std::string_view field, Context& context) {
  SPIKESERVE_ASSIGN_OR_RETURN(const auto array,
                              codec::Decode<Scalar>(piece, field, codec::Accept::kNumber, context.room));
  SPIKESERVE_RETURN_IF_ERROR(
      CheckRoom(array.shape()[0], array.shape()[1] * static_cast<int64_t>(sizeof(Scalar)), field, context));
  return AddElements(absl::MakeConstSpan(array.values()), scalars<Scalar>(), context);
}

template <typename Scalar>
absl::StatusOr<Eigen::Map<const RowMatrix<Scalar>>> RowStore::Matrix(std::string_view field, Context& context) {
  std::vector<Scalar>& out = scalars<Scalar>();
  const size_t count = static_cast<size_t>(rows_ * cols_);
  if (out.size() != count) {
    const int64_t limit = context.limits.max_decoded_bytes / static_cast<int64_t>(sizeof(Scalar));
    if (rows_ * cols_ > limit) {
      return OverLimit(field, rows_ * cols_, "elements that become floats", limit, "--max-decoded-bytes");
    }
    SPIKESERVE_RETURN_IF_ERROR(context.room.Take(rows_ * cols_, sizeof(Scalar)));
    out.clear();
    out.reserve(count);
    const auto append = [&](int64_t begin, int64_t end) -> absl::Status {
      if (kind_ != Kind::kBits) {
        out.insert(out.end(), floats_.begin() + begin, floats_.begin() + end);
        return absl::OkStatus();
      }
      const BitMatrixView view = bits();
      while (begin < end) {
        const int64_t r = begin / cols_, c = begin % cols_;
        const int64_t c_end = std::min(cols_, c + end - begin);
        for (int64_t k = c; k < c_end; ++k) out.push_back(static_cast<Scalar>(view(r, k)));
        begin += c_end - c;
      }
      return absl::OkStatus();
    };
    SPIKESERVE_RETURN_IF_ERROR(codec::InPieces(rows_ * cols_, context.room, append));
  }
  return Eigen::Map<const RowMatrix<Scalar>>(out.data(), rows_, cols_);
}

template absl::StatusOr<Eigen::Map<const RowMatrix<float>>> RowStore::Matrix(std::string_view, Context&);
template absl::StatusOr<Eigen::Map<const RowMatrix<double>>> RowStore::Matrix(std::string_view, Context&);

}  // namespace spikeserve::server

#include "spikeserve/compute/redundant_one_hot.h"

#include <algorithm>
#include <atomic>
#include <optional>
#include <vector>

#include "absl/strings/str_cat.h"
#include "simd/redundant_one_hot_kernel.h"
#include "spikeserve/compute/field_error.h"
#include "spikeserve/compute/shape.h"
#include "stop_check.h"
#include "zero_fill.h"

namespace spikeserve {
namespace {

// So many bytes of codes are worth a task of their own.
constexpr int64_t kBytesPerTask = 1 << 19;

// Rows up to so many bytes are written as windows into a pattern, whose twice as many bytes should be in the
// first-level cache; in wider ones, ones are set in zeros.
constexpr int64_t kMaxWindowBytes = 1 << 12;

// A result from so many bytes on is written past the caches, which it would only empty.
constexpr int64_t kMinStreamedBytes = 1 << 22;

bool IsLabel(int64_t label, int64_t num_classes) { return label >= 0 && label < num_classes; }

absl::Status CheckLabels(absl::Span<const int64_t> labels, int64_t num_classes, Executor& executor) {
  // The multiplications of floats that take as long as a label.
  constexpr double kCost = 30;
  StopCheck stop(executor);
  for (size_t b = 0; b < labels.size(); ++b) {
    if (stop.After(kCost)) return NotWanted();
    if (!IsLabel(labels[b], num_classes)) {
      return InvalidField("labels", absl::StrCat("labels[", b, "] is ", labels[b]),
                          absl::StrCat("labels in [0, num_classes) = [0, ", num_classes, ")"));
    }
  }
  return absl::OkStatus();
}

// How elements lie in memory.
template <typename Scalar>
struct Elements {
  static constexpr int64_t kBits = 8 * sizeof(Scalar);
  static void SetOnes(uint8_t* row, int64_t begin, int64_t end) {
    Scalar* elements = reinterpret_cast<Scalar*>(row);
    std::fill(elements + begin, elements + end, Scalar{1});
  }
};

struct Bit;

template <>
struct Elements<Bit> {
  static constexpr int64_t kBits = 1;
  static void SetOnes(uint8_t* row, int64_t begin, int64_t end) {
    const uint8_t first = static_cast<uint8_t>(0xff << (begin % 8));
    const uint8_t last = static_cast<uint8_t>(0xff >> (7 - (end - 1) % 8));
    uint8_t* first_byte = row + begin / 8;
    uint8_t* last_byte = row + (end - 1) / 8;
    if (first_byte == last_byte) {
      *first_byte |= first & last;
      return;
    }
    *first_byte |= first;
    std::fill(first_byte + 1, last_byte, uint8_t{0xff});
    *last_byte |= last;
  }
};

// The codes as they are in the memory of `room` bytes at `out`.
template <typename Element>
absl::Status WriteCodes(absl::Span<const int64_t> labels, int64_t num_classes, int64_t n, int64_t row_bytes,
                        uint8_t* out, Executor& executor) {
  const int64_t rows = static_cast<int64_t>(labels.size());
  if (row_bytes > kMaxWindowBytes) {
    if (absl::Status status = CheckLabels(labels, num_classes, executor); !status.ok()) return status;
    ZeroFill(out, rows * row_bytes, executor);
    executor.ParallelFor(rows, 1 + kBytesPerTask / row_bytes, [&](int64_t begin, int64_t end) {
      for (int64_t b = begin; b < end; ++b) {
        const int64_t first = labels[b] * n;
        const bool all = ForPieces(executor, n, kElementsPerCheck, [&](int64_t i, int64_t i_end) {
          Elements<Element>::SetOnes(out + b * row_bytes, first + i, first + i_end);
        });
        if (!all) return;
      }
    });
    return absl::OkStatus();
  }

  simd::OneHotCode code;
  code.num_classes = num_classes;
  code.row_bytes = row_bytes;
  code.class_bits = n * Elements<Element>::kBits;
  constexpr int64_t kPatterns = std::max<int64_t>(1, 8 / Elements<Element>::kBits);
  const int64_t margin = row_bytes + simd::OneHotCode::kMargin;
  std::vector<uint8_t> patterns(static_cast<size_t>(kPatterns * (2 * margin)), 0);
  for (int64_t i = 0; i < kPatterns; ++i) {
    uint8_t* pattern = patterns.data() + i * (2 * margin) + margin;
    Elements<Element>::SetOnes(pattern, i, i + n);
    code.patterns[i] = pattern;
  }
  std::atomic<bool> all_valid = true;
  const bool stream = rows * row_bytes >= kMinStreamedBytes;
  executor.ParallelFor(rows, 1 + kBytesPerTask / row_bytes, [&](int64_t begin, int64_t end) {
    if (!simd::WriteOneHotRows(code, labels.data() + begin, end - begin, stream, out + begin * row_bytes)) {
      all_valid.store(false, std::memory_order_relaxed);
    }
  });
  return all_valid ? absl::OkStatus() : CheckLabels(labels, num_classes, executor);
}

}  // namespace

absl::StatusOr<int64_t> RedundantOneHotWidth(int64_t num_classes, int64_t n) {
  if (num_classes < 1) return InvalidField("num_classes", absl::StrCat(num_classes), ">= 1");
  if (n < 1) return InvalidField("n", absl::StrCat(n), ">= 1");
  const std::optional<int64_t> width = ElementCount({num_classes, n});
  if (!width) {
    return InvalidField("n", absl::StrCat(n, " with num_classes ", num_classes), "num_classes * n below 2^63");
  }
  return *width;
}

template <typename Scalar>
absl::Status RedundantOneHot(absl::Span<const int64_t> labels, int64_t num_classes, int64_t n, absl::Span<Scalar> codes,
                             Executor& executor) {
  const absl::StatusOr<int64_t> width = RedundantOneHotWidth(num_classes, n);
  if (!width.ok()) return width.status();
  const int64_t rows = static_cast<int64_t>(labels.size());
  if (ElementCount({rows, *width}) != static_cast<int64_t>(codes.size())) {
    return InvalidField("codes", absl::StrCat(codes.size(), " elements"), ShapeString({rows, *width}));
  }
  if (rows == 0) return absl::OkStatus();
  return WriteCodes<Scalar>(labels, num_classes, n, *width * static_cast<int64_t>(sizeof(Scalar)),
                            reinterpret_cast<uint8_t*>(codes.data()), executor);
}

absl::Status RedundantOneHotBits(absl::Span<const int64_t> labels, int64_t num_classes, int64_t n,
                                 absl::Span<uint8_t> codes, Executor& executor) {
  const absl::StatusOr<int64_t> width = RedundantOneHotWidth(num_classes, n);
  if (!width.ok()) return width.status();
  const int64_t rows = static_cast<int64_t>(labels.size());
  const int64_t row_bytes = *width / 8 + (*width % 8 != 0);
  if (ElementCount({rows, row_bytes}) != static_cast<int64_t>(codes.size())) {
    return InvalidField("codes", absl::StrCat(codes.size(), " bytes"),
                        absl::StrCat(ShapeString({rows, *width}), " as bits, ", row_bytes, " bytes a row"));
  }
  if (rows == 0) return absl::OkStatus();
  return WriteCodes<Bit>(labels, num_classes, n, row_bytes, codes.data(), executor);
}

template absl::Status RedundantOneHot(absl::Span<const int64_t>, int64_t, int64_t, absl::Span<float>, Executor&);
template absl::Status RedundantOneHot(absl::Span<const int64_t>, int64_t, int64_t, absl::Span<uint8_t>, Executor&);

}  // namespace spikeserve

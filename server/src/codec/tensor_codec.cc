#include "codec/tensor_codec.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <optional>
#include <type_traits>

#include "absl/strings/str_cat.h"
#include "spikeserve/compute/field_error.h"
#include "spikeserve/compute/stopping_executor.h"
#include "status_macros.h"

namespace spikeserve::codec {
namespace {

static_assert(std::endian::native == std::endian::little, "the wire is little-endian, and is read in place");

// Calls fn(position) for each one of the sparse form.
template <typename Fn>
absl::Status ForEachEvent(const v1::Tensor& tensor, std::string_view field, int64_t count, const Room& room, Fn fn) {
  const uint64_t end = static_cast<uint64_t>(count);
  uint64_t position = 0;
  return InPieces(tensor.event_deltas_size(), room, [&](int64_t first, int64_t last) -> absl::Status {
    for (auto i = static_cast<int>(first); i < last; ++i) {
      const uint64_t delta = tensor.event_deltas(i);
      const auto name = [&] { return absl::StrCat(std::string(field), ".event_deltas[", i, "]"); };
      if (i > 0 && delta == 0) return InvalidField(name(), "distance 0", "at least 1: positions ascend");
      if (delta >= end - position) {
        return InvalidField(name(), absl::StrCat("an event ", delta, " after position ", position),
                            absl::StrCat("a position below ", count, ", the number of elements"));
      }
      position += delta;
      fn(position);
    }
    return absl::OkStatus();
  });
}

// Whether `value` is one that `dtype` can hold, up to the rounding of floats.
bool Holds(DataType dtype, double value) {
  const auto integer_in = [&](double lo, double hi) {
    return value >= lo && value <= hi && value == std::trunc(value);
  };
  switch (dtype) {
    case DataType::kBool:
    case DataType::kBit:
      return value == 0 || value == 1;
    case DataType::kUint8:
      return integer_in(0, 255);
    case DataType::kInt32:
      return integer_in(std::numeric_limits<int32_t>::min(), std::numeric_limits<int32_t>::max());
    case DataType::kInt64:
      return integer_in(-0x1p63, 0x1p63) && value < 0x1p63;
    case DataType::kFloat32:
      return !std::isfinite(value) || std::abs(value) <= std::numeric_limits<float>::max();
    case DataType::kFloat64:
      return true;
  }
  return false;
}

// Elements `begin` to `end` of those in `bytes`.
template <typename Source, typename T>
void Convert(const char* bytes, int64_t begin, int64_t end, T* out) {
  for (int64_t i = begin; i < end; ++i) {
    Source value;  // The bytes may be unaligned.
    std::memcpy(&value, bytes + i * static_cast<int64_t>(sizeof(Source)), sizeof(Source));
    out[i] = static_cast<T>(value);
  }
}

// The same of bits, whose rows of `width` begin with a byte each.
template <typename T>
void ConvertBits(const char* bytes, int64_t width, int64_t begin, int64_t end, T* out) {
  const int64_t row_bytes = (width + 7) / 8;
  while (begin < end) {
    const int64_t r = begin / width, first = r * width;
    const auto* row = reinterpret_cast<const uint8_t*>(bytes) + r * row_bytes;
    for (const int64_t stop = std::min(first + width, end); begin < stop; ++begin) {
      const int64_t i = begin - first;
      out[begin] = static_cast<T>(row[i / 8] >> (i % 8) & 1);
    }
  }
}

// The elements that are not 0 or 1 are refused. Not by way of T, which may not hold what the wire has.
template <typename Source>
absl::Status CheckBinary(const char* bytes, int64_t count, std::string_view field, const Room& room) {
  const auto element = [bytes](int64_t i) {
    Source value;  // The bytes may be unaligned.
    std::memcpy(&value, bytes + i * static_cast<int64_t>(sizeof(Source)), sizeof(Source));
    return value;
  };
  const auto is_other = [](Source value) { return !(value == Source{0} || value == Source{1}); };
  // Whole runs without a way out, which become vector instructions.
  constexpr int64_t kRun = 4096;
  const auto check_run = [&](int64_t begin, int64_t end) -> absl::Status {
    bool other = false;
    for (int64_t i = begin; i < end; ++i) other |= is_other(element(i));
    for (int64_t i = begin; other && i < end; ++i) {
      if (is_other(element(i))) {
        return InvalidField(field, absl::StrCat("element ", i, " is ", element(i)), "0 or 1");
      }
    }
    return absl::OkStatus();
  };
  return InPieces(count, room, [&](int64_t first, int64_t last) -> absl::Status {
    for (int64_t begin = first; begin < last; begin += kRun) {
      SPIKESERVE_RETURN_IF_ERROR(check_run(begin, std::min(last, begin + kRun)));
    }
    return absl::OkStatus();
  });
}

// Calls fn.operator()<Source>() with the C++ type of `dtype`'s bytes; kBit has none.
template <typename Fn>
auto WithSource(DataType dtype, Fn&& fn) {
  switch (dtype) {
    case DataType::kInt32:
      return fn.template operator()<int32_t>();
    case DataType::kInt64:
      return fn.template operator()<int64_t>();
    case DataType::kFloat32:
      return fn.template operator()<float>();
    case DataType::kFloat64:
      return fn.template operator()<double>();
    default:
      return fn.template operator()<uint8_t>();
  }
}

}  // namespace

template <typename T>
absl::StatusOr<Array<T>> Decode(const WireTensor& wire, std::string_view field, Accept accept, Room room) {
  const v1::Tensor& tensor = wire.header;
  SPIKESERVE_ASSIGN_OR_RETURN(
      TensorHeader header,
      CheckHeader(wire, field, accept, room.max_bytes() / static_cast<int64_t>(sizeof(T)), room.max_bytes()));
  const size_t count = static_cast<size_t>(header.count);
  // Zeros, of which fill(begin, end, data) makes the elements.
  const auto elements = [&](auto fill) -> absl::StatusOr<std::vector<T>> {
    SPIKESERVE_RETURN_IF_ERROR(room.Take(header.count, sizeof(T)));
    std::vector<T> out;
    out.reserve(count);
    SPIKESERVE_RETURN_IF_ERROR(InPieces(header.count, room, [&](int64_t begin, int64_t end) -> absl::Status {
      out.resize(static_cast<size_t>(end));
      fill(begin, end, out.data());
      return absl::OkStatus();
    }));
    return out;
  };
  const auto as_they_are = [](int64_t, int64_t, T*) {};

  if (tensor.values_size() > 0) {
    SPIKESERVE_ASSIGN_OR_RETURN(std::vector<T> out, elements(as_they_are));
    const auto take_value = [&](int i) -> absl::Status {
      double value = tensor.values(i);
      if (!Holds(header.dtype, value) || (accept == Accept::kBinary && value != 0 && value != 1)) {
        return InvalidField(
            absl::StrCat(std::string(field), ".values[", i, "]"), absl::StrCat(value),
            accept == Accept::kBinary ? "0 or 1" : absl::StrCat("a number that ", WireName(tensor.dtype()), " holds"));
      }
      if (header.dtype == DataType::kFloat32) value = static_cast<float>(value);
      out[i] = static_cast<T>(value);
      return absl::OkStatus();
    };
    SPIKESERVE_RETURN_IF_ERROR(InPieces(tensor.values_size(), room, [&](int64_t first, int64_t last) -> absl::Status {
      for (auto i = static_cast<int>(first); i < last; ++i) SPIKESERVE_RETURN_IF_ERROR(take_value(i));
      return absl::OkStatus();
    }));
    return Array<T>(std::move(header.shape), std::move(out));
  }

  const bool mask = header.dtype == DataType::kBool || header.dtype == DataType::kBit;
  if (tensor.event_deltas_size() > 0 || (mask && wire.data.empty())) {
    SPIKESERVE_ASSIGN_OR_RETURN(std::vector<T> out, elements(as_they_are));
    SPIKESERVE_RETURN_IF_ERROR(
        ForEachEvent(tensor, field, header.count, room, [&](uint64_t position) { out[position] = T{1}; }));
    return Array<T>(std::move(header.shape), std::move(out));
  }

  const char* bytes = wire.data.data();
  if (header.dtype == DataType::kBit) {
    const int64_t width = header.shape.empty() ? 1 : header.shape.back();
    SPIKESERVE_ASSIGN_OR_RETURN(std::vector<T> out, elements([&](int64_t begin, int64_t end, T* data) {
                                  ConvertBits(bytes, width, begin, end, data);
                                }));
    return Array<T>(std::move(header.shape), std::move(out));
  }
  return WithSource(header.dtype, [&]<typename Source>() -> absl::StatusOr<Array<T>> {
    if (accept == Accept::kBinary || header.dtype == DataType::kBool) {
      SPIKESERVE_RETURN_IF_ERROR(CheckBinary<Source>(bytes, header.count, field, room));
    }
    if constexpr (std::is_same_v<Source, T>) {
      if (reinterpret_cast<uintptr_t>(bytes) % alignof(T) == 0) {
        return Array<T>(std::move(header.shape), absl::MakeConstSpan(reinterpret_cast<const T*>(bytes), count));
      }
    }
    SPIKESERVE_ASSIGN_OR_RETURN(std::vector<T> out, elements([&](int64_t begin, int64_t end, T* data) {
                                  Convert<Source>(bytes, begin, end, data);
                                }));
    return Array<T>(std::move(header.shape), std::move(out));
  });
}

template absl::StatusOr<Array<uint8_t>> Decode(const WireTensor&, std::string_view, Accept, Room);
template absl::StatusOr<Array<int64_t>> Decode(const WireTensor&, std::string_view, Accept, Room);
template absl::StatusOr<Array<float>> Decode(const WireTensor&, std::string_view, Accept, Room);
template absl::StatusOr<Array<double>> Decode(const WireTensor&, std::string_view, Accept, Room);

absl::StatusOr<BitArray> DecodeBits(const WireTensor& wire, std::string_view field, size_t row_dimensions,
                                    std::string_view needed, Room room) {
  const v1::Tensor& tensor = wire.header;
  const int64_t max_bytes = room.max_bytes();
  SPIKESERVE_ASSIGN_OR_RETURN(TensorHeader header,
                              CheckHeader(wire, field, Accept::kBinary, BitElements(max_bytes), max_bytes));
  if (header.shape.size() < row_dimensions) return CheckRank(header.shape, row_dimensions, field, needed);
  const auto shape = absl::MakeConstSpan(header.shape);
  const int64_t rows = ElementCount(shape.first(row_dimensions)).value_or(0);
  const int64_t cols = ElementCount(shape.subspan(row_dimensions)).value_or(0);
  // Rows are padded: many short ones take more than their elements.
  const int64_t row_bytes = ByteCount(DataType::kBit, {cols}).value_or(0) + BitMatrix::kAlignment;
  if (rows > 0 && row_bytes > max_bytes / rows) {
    return FieldError(absl::StatusCode::kResourceExhausted, absl::StrCat(std::string(field), ".shape"),
                      absl::StrCat(ShapeString(header.shape), " takes more than ", max_bytes, " bytes as bits"),
                      absl::StrCat("at most ", max_bytes, " bytes (the server's --max-decoded-bytes)"));
  }

  const auto take_bits = [&] { return room.Take(rows, row_bytes); };
  const bool mask = header.dtype == DataType::kBool || header.dtype == DataType::kBit;
  if (tensor.event_deltas_size() > 0 || (mask && tensor.values_size() == 0 && wire.data.empty())) {
    SPIKESERVE_RETURN_IF_ERROR(take_bits());
    const auto wanted = [&] { return room.Wanted(); };
    StoppingExecutor in_pieces(InlineExecutor(), wanted);
    BitMatrix bits(rows, cols, in_pieces);
    if (in_pieces.has_stopped()) return in_pieces.Ask();
    SPIKESERVE_RETURN_IF_ERROR(ForEachEvent(tensor, field, header.count, room, [&](uint64_t position) {
      bits.Set(static_cast<int64_t>(position) / cols, static_cast<int64_t>(position) % cols);
    }));
    return BitArray(std::move(header.shape), std::move(bits));
  }
  const bool last_dimension_is_row = header.shape.size() == row_dimensions + 1;
  if (header.dtype == DataType::kBit && tensor.values_size() == 0 && last_dimension_is_row) {
    const BitMatrixView bits(wire.data.data(), rows, cols);
    return BitArray(std::move(header.shape), bits);
  }
  const auto pack = [&]<typename T>() -> absl::StatusOr<BitArray> {
    // Values are checked one by one as they are read, bytes as they are packed.
    const Accept accept = tensor.values_size() > 0 ? Accept::kBinary : Accept::kNumber;
    SPIKESERVE_ASSIGN_OR_RETURN(Array<T> array, Decode<T>(wire, field, accept, room));
    SPIKESERVE_RETURN_IF_ERROR(take_bits());
    // In this thread: where others have time is for whoever computes with it to say.
    const auto wanted = [&] { return room.Wanted(); };
    StoppingExecutor in_pieces(InlineExecutor(), wanted);
    std::optional<BitMatrix> bits = BitMatrix::Pack<T>(array.Matrix(rows, cols), in_pieces);
    if (in_pieces.has_stopped()) return in_pieces.Ask();
    if (bits) return BitArray(array.shape(), *std::move(bits));
    const auto values = array.values();
    const auto other = std::find_if(values.begin(), values.end(), [](T value) { return value != 0 && value != 1; });
    return InvalidField(field, absl::StrCat("element ", other - values.begin(), " is ", *other), "0 or 1");
  };
  switch (header.dtype) {
    case DataType::kFloat32:
      return pack.operator()<float>();
    case DataType::kInt32:
    case DataType::kInt64:
    case DataType::kFloat64:
      return pack.operator()<double>();
    default:
      return pack.operator()<uint8_t>();
  }
}

namespace {

// CheckResult, and that bools are: other bytes than 0 and 1 are no values of a C++ bool.
absl::StatusOr<TensorHeader> CheckResultElements(const WireTensor& wire, std::string_view field, int64_t max_bytes) {
  SPIKESERVE_ASSIGN_OR_RETURN(TensorHeader header, CheckResult(wire, field, max_bytes));
  if (header.dtype == DataType::kBool) {
    const auto count = static_cast<int64_t>(wire.data.size());
    SPIKESERVE_RETURN_IF_ERROR(CheckBinary<uint8_t>(wire.data.data(), count, field, max_bytes));
  }
  return header;
}

}  // namespace

absl::StatusOr<Tensor> DecodeTensor(const WireTensor& wire, std::string_view field, int64_t max_bytes) {
  SPIKESERVE_ASSIGN_OR_RETURN(TensorHeader header, CheckResultElements(wire, field, max_bytes));
  Tensor out(header.dtype, header.shape);
  if (!wire.data.empty()) std::memcpy(out.data(), wire.data.data(), wire.data.size());
  return out;
}

absl::StatusOr<Tensor> TakeTensor(TensorField& tensor, std::string_view field, int64_t max_bytes) {
  if (tensor.data.owner.use_count() != 1) return DecodeTensor({tensor.header, tensor.data.view()}, field, max_bytes);
  SPIKESERVE_ASSIGN_OR_RETURN(TensorHeader header,
                              CheckResultElements({tensor.header, tensor.data.view()}, field, max_bytes));
  // The buffer is nobody else's, so that it may be written to.
  auto* bytes = reinterpret_cast<std::byte*>(const_cast<uint8_t*>(tensor.data.data));
  return Tensor(header.dtype, header.shape, std::shared_ptr<std::byte>(std::move(tensor.data.owner), bytes));
}

}  // namespace spikeserve::codec

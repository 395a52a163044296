#include "codec/tensor_codec.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <optional>
#include <type_traits>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "spikeserve/compute/field_error.h"
#include "spikeserve/compute/stopping_executor.h"
#include "status_macros.h"

namespace spikeserve::codec {
namespace {

static_assert(std::endian::native == std::endian::little, "the wire is little-endian, and is read in place");

std::optional<DataType> FromWire(v1::DataType dtype) {
  switch (dtype) {
    case v1::DATA_TYPE_BOOL:
      return DataType::kBool;
    case v1::DATA_TYPE_BIT:
      return DataType::kBit;
    case v1::DATA_TYPE_UINT8:
      return DataType::kUint8;
    case v1::DATA_TYPE_INT32:
      return DataType::kInt32;
    case v1::DATA_TYPE_INT64:
      return DataType::kInt64;
    case v1::DATA_TYPE_FLOAT32:
      return DataType::kFloat32;
    case v1::DATA_TYPE_FLOAT64:
      return DataType::kFloat64;
    default:
      return std::nullopt;
  }
}

// "FLOAT32", or the bare number of a value that this version does not know.
std::string WireName(v1::DataType dtype) {
  const std::optional<DataType> known = FromWire(dtype);
  return known ? std::string(DataTypeName(*known)) : v1::DataType_IsValid(dtype) ? "UNSPECIFIED" : absl::StrCat(dtype);
}

absl::Span<const DataType> AcceptedTypes(Accept accept) {
  static constexpr DataType kAll[] = {DataType::kBool,  DataType::kBit,     DataType::kUint8,  DataType::kInt32,
                                      DataType::kInt64, DataType::kFloat32, DataType::kFloat64};
  const absl::Span<const DataType> all = kAll;
  switch (accept) {
    case Accept::kFloat:
      return all.subspan(5);
    case Accept::kInteger:
      return all.subspan(2, 3);
    case Accept::kNumber:
    case Accept::kBinary:
      return all;
  }
  return {};
}

std::string TypeList(absl::Span<const DataType> types) {
  return absl::StrJoin(types, ", ", [](std::string* out, DataType t) {
    const std::string_view name = DataTypeName(t);
    out->append(name.data(), name.size());
  });
}

// What a tensor says of itself, checked.
struct Header {
  DataType dtype;
  Shape shape;
  int64_t count;
};

std::string SubField(std::string_view field, std::string_view name) {
  return absl::StrCat(std::string(field), ".", std::string(name));
}

absl::Status TooManyBytes(const Shape& shape, std::string_view field, int64_t max_bytes) {
  return FieldError(absl::StatusCode::kResourceExhausted, SubField(field, "shape"),
                    absl::StrCat(ShapeString(shape), " takes more than ", max_bytes, " bytes when decoded"),
                    absl::StrCat("at most ", max_bytes, " bytes (the server's --max-decoded-bytes)"));
}

// Checks dtype and shape. `max_elements` is how many elements may be decoded, and `max_bytes` the limit behind it, for
// the message.
absl::StatusOr<Header> CheckShape(const v1::Tensor& tensor, std::string_view field, Accept accept, int64_t max_elements,
                                  int64_t max_bytes) {
  const auto sub = [&](std::string_view name) { return SubField(field, name); };
  // An absent message field reads as the default instance.
  if (&tensor == &v1::Tensor::default_instance()) return InvalidField(field, "absent", "a tensor");
  const std::optional<DataType> dtype = FromWire(tensor.dtype());
  const absl::Span<const DataType> accepted = AcceptedTypes(accept);
  if (!dtype || std::find(accepted.begin(), accepted.end(), *dtype) == accepted.end()) {
    return InvalidField(sub("dtype"), WireName(tensor.dtype()), absl::StrCat("one of ", TypeList(accepted)));
  }

  Header header{*dtype, Shape(tensor.shape().begin(), tensor.shape().end()), 0};
  for (int64_t length : header.shape) {
    if (length < 0) return InvalidField(sub("shape"), ShapeString(header.shape), "lengths that are at least 0");
  }
  Shape room = header.shape;  // What a shape without zeros would take.
  for (int64_t& length : room) length = std::max<int64_t>(length, 1);
  const std::optional<int64_t> room_count = ElementCount(room);
  if (!room_count) {
    return InvalidField(sub("shape"), ShapeString(header.shape), "lengths whose product is below 2^63");
  }
  if (*room_count > max_elements) return TooManyBytes(header.shape, field, max_bytes);
  header.count = ElementCount(header.shape).value_or(0);
  return header;
}

absl::Status CheckOneForm(const WireTensor& wire, std::string_view field) {
  absl::InlinedVector<absl::string_view, 4> forms;
  if (!wire.data.empty()) forms.push_back("data");
  if (wire.header.values_size() > 0) forms.push_back("values");
  if (wire.header.event_deltas_size() > 0) forms.push_back("event_deltas");
  if (wire.header.has_shared()) forms.push_back("shared");
  if (forms.size() <= 1) return absl::OkStatus();
  const absl::string_view last = forms.back();
  forms.pop_back();
  return InvalidField(field, absl::StrCat(absl::StrJoin(forms, ", "), " and ", last, " are set"),
                      "exactly one of them");
}

// Checks that `got` bytes, which `field` holds, are those that dtype and shape need.
absl::Status CheckByteCount(const Header& header, std::string_view field, uint64_t got) {
  const std::optional<int64_t> bytes = ByteCount(header.dtype, header.shape);
  if (bytes && got == static_cast<uint64_t>(*bytes)) return absl::OkStatus();
  return InvalidField(field, absl::StrCat(got, " bytes"),
                      absl::StrCat(bytes ? absl::StrCat(*bytes) : "more", " bytes for ", WireName(ToWire(header.dtype)),
                                   " ", ShapeString(header.shape)));
}

absl::StatusOr<Header> CheckHeader(const WireTensor& wire, std::string_view field, Accept accept, int64_t max_elements,
                                   int64_t max_bytes) {
  const v1::Tensor& tensor = wire.header;
  SPIKESERVE_ASSIGN_OR_RETURN(Header header, CheckShape(tensor, field, accept, max_elements, max_bytes));
  SPIKESERVE_RETURN_IF_ERROR(CheckOneForm(wire, field));
  if (tensor.has_shared()) {
    // Where it is offered, this form became `data` before (shared_memory/shared_tensors.h).
    return FieldError(absl::StatusCode::kFailedPrecondition, SubField(field, "shared"),
                      "memory that this server does not share with the caller",
                      "the elements themselves; or a tensor that is a field of the request, on a unix: listener of a "
                      "server that runs with --shared-memory");
  }
  if (tensor.values_size() > 0 && tensor.values_size() != header.count) {
    return InvalidField(SubField(field, "values"), absl::StrCat(tensor.values_size(), " elements"),
                        absl::StrCat(header.count, " for shape ", ShapeString(header.shape)));
  }
  const bool mask = header.dtype == DataType::kBool || header.dtype == DataType::kBit;
  if (tensor.values_size() == 0 && tensor.event_deltas_size() == 0 && !(mask && wire.data.empty())) {
    SPIKESERVE_RETURN_IF_ERROR(CheckByteCount(header, SubField(field, "data"), wire.data.size()));
  }
  return header;
}

// The elements that fit into `max_bytes` as bits.
int64_t BitElements(int64_t max_bytes) {
  return max_bytes > std::numeric_limits<int64_t>::max() / 8 ? std::numeric_limits<int64_t>::max() : max_bytes * 8;
}

// The header of a response's tensor, which is in the `data` form.
absl::StatusOr<Header> CheckResult(const WireTensor& wire, std::string_view field, int64_t max_bytes) {
  SPIKESERVE_ASSIGN_OR_RETURN(Header header, CheckHeader(wire, field, Accept::kNumber, max_bytes, max_bytes));
  if (wire.header.values_size() > 0 || wire.header.event_deltas_size() > 0) {
    return InvalidField(field, "values or event_deltas", "data");
  }
  return header;
}

// Whether to look, before element `i`, if anybody still wants what is decoded: after each million of them, which take a
// few milliseconds at most.
bool IsTimeToAsk(int64_t i) { return i % (int64_t{1} << 20) == (int64_t{1} << 20) - 1; }

// Calls fn(begin, end), which may fail, for consecutive pieces of [0, count), and asks between them.
template <typename Fn>
absl::Status InPieces(int64_t count, const Room& room, Fn fn) {
  constexpr int64_t kPiece = int64_t{1} << 20;
  for (int64_t begin = 0; begin < count; begin += kPiece) {
    if (begin > 0) SPIKESERVE_RETURN_IF_ERROR(room.Wanted());
    SPIKESERVE_RETURN_IF_ERROR(fn(begin, std::min(begin + kPiece, count)));
  }
  return absl::OkStatus();
}

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
  for (int64_t begin = 0; begin < count; begin += kRun) {
    if (IsTimeToAsk(begin + kRun - 1)) SPIKESERVE_RETURN_IF_ERROR(room.Wanted());
    const int64_t end = std::min(count, begin + kRun);
    bool other = false;
    for (int64_t i = begin; i < end; ++i) other |= is_other(element(i));
    if (!other) continue;
    for (int64_t i = begin; i < end; ++i) {
      if (is_other(element(i))) {
        return InvalidField(field, absl::StrCat("element ", i, " is ", element(i)), "0 or 1");
      }
    }
  }
  return absl::OkStatus();
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
      Header header,
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
    for (int i = 0; i < tensor.values_size(); ++i) {
      if (IsTimeToAsk(i)) SPIKESERVE_RETURN_IF_ERROR(room.Wanted());
      double value = tensor.values(i);
      if (!Holds(header.dtype, value) || (accept == Accept::kBinary && value != 0 && value != 1)) {
        return InvalidField(
            absl::StrCat(std::string(field), ".values[", i, "]"), absl::StrCat(value),
            accept == Accept::kBinary ? "0 or 1" : absl::StrCat("a number that ", WireName(tensor.dtype()), " holds"));
      }
      if (header.dtype == DataType::kFloat32) value = static_cast<float>(value);
      out[i] = static_cast<T>(value);
    }
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

absl::Status CheckRank(const Shape& shape, size_t rank, std::string_view field, std::string_view needed) {
  if (shape.size() == rank) return absl::OkStatus();
  return InvalidField(absl::StrCat(std::string(field), ".shape"), ShapeString(shape), needed);
}

bool IsBinary(const v1::Tensor& tensor) {
  return tensor.dtype() == v1::DATA_TYPE_BOOL || tensor.dtype() == v1::DATA_TYPE_BIT || tensor.event_deltas_size() > 0;
}

absl::StatusOr<BitArray> DecodeBits(const WireTensor& wire, std::string_view field, size_t row_dimensions,
                                    std::string_view needed, Room room) {
  const v1::Tensor& tensor = wire.header;
  const int64_t max_bytes = room.max_bytes();
  SPIKESERVE_ASSIGN_OR_RETURN(Header header,
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
    BitMatrix bits(rows, cols);
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
    if (in_pieces.has_stopped()) return room.Wanted();
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

absl::StatusOr<Tensor> DecodeTensor(const WireTensor& wire, std::string_view field, int64_t max_bytes) {
  SPIKESERVE_ASSIGN_OR_RETURN(Header header, CheckResult(wire, field, max_bytes));
  Tensor out(header.dtype, header.shape);
  if (!wire.data.empty()) std::memcpy(out.data(), wire.data.data(), wire.data.size());
  return out;
}

absl::StatusOr<Tensor> TakeTensor(TensorField& tensor, std::string_view field, int64_t max_bytes) {
  if (tensor.data.owner.use_count() != 1) return DecodeTensor({tensor.header, tensor.data.view()}, field, max_bytes);
  SPIKESERVE_ASSIGN_OR_RETURN(Header header, CheckResult({tensor.header, tensor.data.view()}, field, max_bytes));
  // The buffer is nobody else's, so that it may be written to.
  auto* bytes = reinterpret_cast<std::byte*>(const_cast<uint8_t*>(tensor.data.data));
  return Tensor(header.dtype, header.shape, std::shared_ptr<std::byte>(std::move(tensor.data.owner), bytes));
}

bool IsDense(const WireTensor& tensor) { return CheckResult(tensor, "", std::numeric_limits<int64_t>::max()).ok(); }

absl::Status CheckShared(const WireTensor& wire, std::string_view field, int64_t max_bytes) {
  SPIKESERVE_ASSIGN_OR_RETURN(const Header header,
                              CheckShape(wire.header, field, Accept::kNumber, BitElements(max_bytes), max_bytes));
  SPIKESERVE_RETURN_IF_ERROR(CheckOneForm(wire, field));
  SPIKESERVE_RETURN_IF_ERROR(CheckByteCount(header, SubField(field, "shared.size"), wire.header.shared().size()));
  if (wire.header.shared().size() > static_cast<uint64_t>(max_bytes)) {
    return TooManyBytes(header.shape, field, max_bytes);
  }
  return absl::OkStatus();
}

absl::StatusOr<DataType> DecodeMaskType(v1::DataType dtype, DataType fallback, absl::Span<const DataType> allowed) {
  if (dtype == v1::DATA_TYPE_UNSPECIFIED) return fallback;
  const std::optional<DataType> known = FromWire(dtype);
  if (known && std::find(allowed.begin(), allowed.end(), *known) != allowed.end()) return *known;
  return InvalidField("mask_dtype", WireName(dtype), absl::StrCat("one of ", TypeList(allowed)));
}

}  // namespace spikeserve::codec

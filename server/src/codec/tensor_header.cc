#include "codec/tensor_header.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <utility>

#include "absl/container/inlined_vector.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "codec/tensor_encoder.h"
#include "spikeserve/compute/field_error.h"
#include "status_macros.h"

namespace spikeserve::codec {
namespace {

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

// The product of the lengths, of which 0 counts as 1; nullopt where a length is negative, or it is above 2^63 - 1.
std::optional<int64_t> CountWithoutZeros(const v1::Tensor& tensor) {
  int64_t count = 1;
  for (const int64_t length : tensor.shape()) {
    if (length < 0 || length > std::numeric_limits<int64_t>::max() / count) return std::nullopt;
    count *= std::max<int64_t>(length, 1);
  }
  return count;
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
absl::StatusOr<TensorHeader> CheckShape(const v1::Tensor& tensor, std::string_view field, Accept accept,
                                        int64_t max_elements, int64_t max_bytes) {
  const auto sub = [&](std::string_view name) { return SubField(field, name); };
  // An absent message field reads as the default instance.
  if (&tensor == &v1::Tensor::default_instance()) return InvalidField(field, "absent", "a tensor");
  const std::optional<DataType> dtype = FromWire(tensor.dtype());
  const absl::Span<const DataType> accepted = AcceptedTypes(accept);
  if (!dtype || std::find(accepted.begin(), accepted.end(), *dtype) == accepted.end()) {
    return InvalidField(sub("dtype"), WireName(tensor.dtype()), absl::StrCat("one of ", TypeList(accepted)));
  }

  SPIKESERVE_ASSIGN_OR_RETURN(Shape shape, DecodeShape(tensor.shape(), sub("shape")));
  TensorHeader header{*dtype, std::move(shape), 0};
  for (int64_t length : header.shape) {
    if (length < 0) return InvalidField(sub("shape"), ShapeString(header.shape), "lengths that are at least 0");
  }
  const std::optional<int64_t> room_count = CountWithoutZeros(tensor);
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
absl::Status CheckByteCount(const TensorHeader& header, std::string_view field, uint64_t got) {
  const std::optional<int64_t> bytes = ByteCount(header.dtype, header.shape);
  if (bytes && got == static_cast<uint64_t>(*bytes)) return absl::OkStatus();
  return InvalidField(field, absl::StrCat(got, " bytes"),
                      absl::StrCat(bytes ? absl::StrCat(*bytes) : "more", " bytes for ", WireName(ToWire(header.dtype)),
                                   " ", ShapeString(header.shape)));
}

}  // namespace

std::string WireName(v1::DataType dtype) {
  const std::optional<DataType> known = FromWire(dtype);
  return known ? std::string(DataTypeName(*known)) : v1::DataType_IsValid(dtype) ? "UNSPECIFIED" : absl::StrCat(dtype);
}

absl::StatusOr<TensorHeader> CheckHeader(const WireTensor& wire, std::string_view field, Accept accept,
                                         int64_t max_elements, int64_t max_bytes) {
  const v1::Tensor& tensor = wire.header;
  SPIKESERVE_ASSIGN_OR_RETURN(TensorHeader header, CheckShape(tensor, field, accept, max_elements, max_bytes));
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

int64_t ElementsOrRows(const v1::Tensor& tensor) {
  return CountWithoutZeros(tensor).value_or(std::numeric_limits<int64_t>::max());
}

int64_t BitElements(int64_t max_bytes) {
  return max_bytes > std::numeric_limits<int64_t>::max() / 8 ? std::numeric_limits<int64_t>::max() : max_bytes * 8;
}

absl::StatusOr<TensorHeader> CheckResult(const WireTensor& wire, std::string_view field, int64_t max_bytes) {
  SPIKESERVE_ASSIGN_OR_RETURN(TensorHeader header, CheckHeader(wire, field, Accept::kNumber, max_bytes, max_bytes));
  if (wire.header.values_size() > 0 || wire.header.event_deltas_size() > 0) {
    return InvalidField(field, "values or event_deltas", "data");
  }
  // Also of a mask, whose zeros a request may leave out.
  SPIKESERVE_RETURN_IF_ERROR(CheckByteCount(header, SubField(field, "data"), wire.data.size()));
  return header;
}

absl::StatusOr<Shape> DecodeShape(const google::protobuf::RepeatedField<int64_t>& lengths, std::string_view field) {
  if (lengths.size() <= kMaxRank) return Shape(lengths.begin(), lengths.end());
  return InvalidField(field, absl::StrCat(lengths.size(), " lengths"), absl::StrCat("at most ", kMaxRank));
}

absl::Status CheckRank(const Shape& shape, size_t rank, std::string_view field, std::string_view needed) {
  if (shape.size() == rank) return absl::OkStatus();
  return InvalidField(absl::StrCat(std::string(field), ".shape"), ShapeString(shape), needed);
}

bool IsBinary(const v1::Tensor& tensor) {
  return tensor.dtype() == v1::DATA_TYPE_BOOL || tensor.dtype() == v1::DATA_TYPE_BIT || tensor.event_deltas_size() > 0;
}

bool IsDense(const WireTensor& tensor) { return CheckResult(tensor, "", std::numeric_limits<int64_t>::max()).ok(); }

absl::Status CheckShared(const WireTensor& wire, std::string_view field, int64_t max_bytes) {
  SPIKESERVE_ASSIGN_OR_RETURN(const TensorHeader header,
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

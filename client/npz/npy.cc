#include "npz/npy.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>
#include <optional>
#include <vector>

#include "Eigen/Core"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "file/file.h"

namespace spikeserve::npz {

static_assert(std::endian::native == std::endian::little, "elements are copied as they are in the file");

struct NpyType {
  std::string_view descr;  // numpy's name, without the byte order.
  int size;                // Bytes of an element in the file.
  DataType dtype;          // What it becomes.
  void (*convert)(std::string_view from, void* to);
};

namespace {

template <typename From, typename To>
void Convert(std::string_view from, void* to) {
  To* out = static_cast<To*>(to);
  for (size_t i = 0; i < from.size(); i += sizeof(From)) {
    From value;  // The bytes need not be aligned.
    std::memcpy(&value, from.data() + i, sizeof value);
    *out++ = static_cast<To>(value);
  }
}

void Copy(std::string_view from, void* to) {
  if (!from.empty()) std::memcpy(to, from.data(), from.size());
}

// A byte other than 0 and 1 is true to numpy and no value of a C++ bool.
void ConvertBool(std::string_view from, void* to) {
  std::transform(from.begin(), from.end(), static_cast<uint8_t*>(to), [](char c) { return c != 0 ? 1 : 0; });
}

// The first type of each dtype is the one that is written.
constexpr NpyType kTypes[] = {
    {"b1", 1, DataType::kBool, ConvertBool},
    {"u1", 1, DataType::kUint8, Copy},
    {"i4", 4, DataType::kInt32, Copy},
    {"i8", 8, DataType::kInt64, Copy},
    {"f4", 4, DataType::kFloat32, Copy},
    {"f8", 8, DataType::kFloat64, Copy},
    {"i1", 1, DataType::kInt32, Convert<int8_t, int32_t>},
    {"i2", 2, DataType::kInt32, Convert<int16_t, int32_t>},
    {"u2", 2, DataType::kInt32, Convert<uint16_t, int32_t>},
    {"u4", 4, DataType::kInt64, Convert<uint32_t, int64_t>},
    {"f2", 2, DataType::kFloat32, Convert<Eigen::half, float>},
};
constexpr char kReadable[] = "bool, int8 to int64, uint8 to uint32, float16, float32 or float64, little-endian";

constexpr size_t kMaxRank = 64;  // NumPy's.

constexpr std::string_view kMagic = "\x93NUMPY";

absl::string_view Absl(std::string_view s) { return {s.data(), s.size()}; }

absl::Status Malformed(std::string_view got, std::string_view needed) {
  return absl::InvalidArgumentError(absl::StrCat(Absl(got), "; need ", Absl(needed)));
}

// At most 40 bytes of a file's text, fit for a message.
std::string Quoted(std::string_view text) {
  const std::string escaped = absl::CHexEscape(Absl(text.substr(0, 40)));
  return absl::StrCat("\"", absl::StrReplaceAll(escaped, {{"\\'", "'"}}), text.size() > 40 ? "..." : "", "\"");
}

// Reads the Python literal from left to right. The functions for tokens skip the blanks before one, and take it or
// leave it.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {}

  bool Take(std::string_view token) {
    SkipBlanks();
    if (text_.substr(0, token.size()) != token) return false;
    text_.remove_prefix(token.size());
    return true;
  }

  // Text in single or double quotes, without escapes.
  std::optional<std::string_view> TakeString() {
    SkipBlanks();
    if (text_.empty() || (text_[0] != '\'' && text_[0] != '"')) return std::nullopt;
    const size_t end = text_.find(text_[0], 1);
    if (end == text_.npos || text_.substr(0, end).find('\\') != text_.npos) return std::nullopt;
    const std::string_view value = text_.substr(1, end - 1);
    text_.remove_prefix(end + 1);
    return value;
  }

  // A number from 0 to 2^63 - 1. Python 2 wrote some with an L behind them.
  std::optional<int64_t> TakeLength() {
    SkipBlanks();
    int64_t value = 0;
    size_t digits = 0;
    for (; digits < text_.size() && text_[digits] >= '0' && text_[digits] <= '9'; ++digits) {
      const int digit = text_[digits] - '0';
      if (value > (std::numeric_limits<int64_t>::max() - digit) / 10) return std::nullopt;
      value = value * 10 + digit;
    }
    if (digits == 0) return std::nullopt;
    text_.remove_prefix(digits);
    if (!text_.empty() && text_[0] == 'L') text_.remove_prefix(1);
    return value;
  }

  bool AtEnd() {
    SkipBlanks();
    return text_.empty();
  }

  std::string Rest() const { return Quoted(text_); }

 private:
  void SkipBlanks() { text_.remove_prefix(std::min(text_.find_first_not_of(" \t\r\n"), text_.size())); }

  std::string_view text_;
};

absl::StatusOr<const NpyType*> ParseType(Scanner& scanner) {
  constexpr std::string_view kSimple = "one type for all elements, such as '<f4'";
  const std::optional<std::string_view> descr = scanner.TakeString();
  if (!descr) return Malformed(absl::StrCat("header: descr at ", scanner.Rest()), kSimple);
  if (descr->size() >= 3 && std::string_view("<>|").find((*descr)[0]) != std::string_view::npos) {
    for (const NpyType& type : kTypes) {
      if (descr->substr(1) != type.descr) continue;
      if ((*descr)[0] == '<' || type.size == 1) return &type;
      if ((*descr)[0] == '>') {
        return Malformed(absl::StrCat("dtype ", Quoted(*descr), " is big-endian"),
                         "little-endian: array.astype(array.dtype.newbyteorder('<'))");
      }
    }
  }
  return Malformed(absl::StrCat("dtype ", Quoted(*descr)), kReadable);
}

absl::StatusOr<Shape> ParseShape(Scanner& scanner) {
  const auto malformed = [&] {
    return Malformed(absl::StrCat("header: shape at ", scanner.Rest()), "a tuple of lengths from 0 to 2^63 - 1");
  };
  if (!scanner.Take("(")) return malformed();
  Shape shape;
  bool comma = true;  // Before the present place; (3) is a number, only (3,) is a tuple.
  while (!scanner.Take(")")) {
    if (!comma) return malformed();
    const std::optional<int64_t> length = scanner.TakeLength();
    if (!length) return malformed();
    if (shape.size() == kMaxRank) {
      return Malformed(absl::StrCat("header: shape of more than ", kMaxRank, " dimensions"), "at most that many");
    }
    shape.push_back(*length);
    comma = scanner.Take(",");
  }
  if (shape.size() == 1 && !comma) return malformed();
  return shape;
}

// Sets type, fortran_order and shape of `header` from {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }.
absl::Status ParseLiteral(std::string_view literal, NpyHeader& header) {
  constexpr std::string_view kDictionary = "a dictionary of descr, fortran_order and shape";
  Scanner scanner(literal);
  const auto malformed = [&] { return Malformed(absl::StrCat("header at ", scanner.Rest()), kDictionary); };
  if (!scanner.Take("{")) return malformed();
  std::vector<std::string_view> seen;
  bool comma = true;
  while (!scanner.Take("}")) {
    if (!comma) return malformed();
    const std::optional<std::string_view> key = scanner.TakeString();
    if (!key || !scanner.Take(":") || std::count(seen.begin(), seen.end(), *key) != 0) return malformed();
    seen.push_back(*key);
    if (*key == "descr") {
      absl::StatusOr<const NpyType*> type = ParseType(scanner);
      if (!type.ok()) return type.status();
      header.type = *type;
    } else if (*key == "fortran_order") {
      header.fortran_order = scanner.Take("True");
      if (!header.fortran_order && !scanner.Take("False")) return malformed();
    } else if (*key == "shape") {
      absl::StatusOr<Shape> shape = ParseShape(scanner);
      if (!shape.ok()) return shape.status();
      header.shape = *std::move(shape);
    } else {
      return Malformed(absl::StrCat("header: key ", Quoted(*key)), kDictionary);
    }
    comma = scanner.Take(",");
  }
  if (seen.size() != 3) return Malformed("header: a key is missing", kDictionary);
  if (!scanner.AtEnd()) return malformed();
  return absl::OkStatus();
}

// The elements of a column-major array in row-major order. `data` holds ElementCount(shape) * size bytes.
std::string RowMajor(std::string_view data, absl::Span<const int64_t> shape, int64_t size) {
  if (data.empty()) return {};  // A length of 0 leaves the others unbounded.
  const int64_t dimensions = static_cast<int64_t>(shape.size());
  std::vector<int64_t> strides(dimensions), index(dimensions);
  for (int64_t d = 0, stride = size; d < dimensions; stride *= shape[d++]) strides[d] = stride;
  std::string rows(data.size(), '\0');
  int64_t from = 0;
  for (int64_t to = 0; to < static_cast<int64_t>(data.size()); to += size) {
    std::memcpy(rows.data() + to, data.data() + from, size);
    for (int64_t d = dimensions - 1; d >= 0; --d) {
      from += strides[d];
      if (++index[d] < shape[d]) break;
      from -= strides[d] * shape[d];
      index[d] = 0;
    }
  }
  return rows;
}

Tensor UnpackBits(const TensorView& bits) {
  Tensor unpacked(DataType::kBool, bits.shape());
  const int64_t row_length = bits.shape().empty() ? 1 : bits.shape().back();
  const int64_t row_bytes = row_length / 8 + (row_length % 8 != 0);
  const auto* row = static_cast<const uint8_t*>(bits.data());
  auto* out = static_cast<uint8_t*>(unpacked.data());
  for (int64_t left = bits.size(); left > 0; left -= row_length, row += row_bytes) {
    for (int64_t i = 0; i < row_length; ++i) *out++ = row[i / 8] >> (i % 8) & 1;
  }
  return unpacked;
}

}  // namespace

absl::StatusOr<NpyHeader> ParseNpyHeader(std::string_view bytes) {
  if (bytes.substr(0, kMagic.size()) != kMagic) {
    return Malformed(absl::StrCat("starts with ", Quoted(bytes.substr(0, 8))), "a .npy file, starting with \\x93NUMPY");
  }
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(bytes[i]); };
  // Magic, two bytes of version, and the length of the header in 2 bytes or, since version 2, 4.
  if (bytes.size() < 8) return Malformed("cut off in the header", "the whole file");
  if (byte(6) < 1 || byte(6) > 3 || byte(7) != 0) {
    return Malformed(absl::StrCat(".npy version ", byte(6), ".", byte(7)), "1.0, 2.0 or 3.0");
  }
  const size_t length_size = byte(6) == 1 ? 2 : 4;
  const int64_t start = static_cast<int64_t>(8 + length_size);
  if (static_cast<int64_t>(bytes.size()) < start) return Malformed("cut off in the header", "the whole file");
  uint32_t length = 0;
  std::memcpy(&length, bytes.data() + 8, length_size);
  if (length > kMaxNpyHeaderSize - start) {
    return Malformed(absl::StrCat("header of ", length, " bytes"), absl::StrCat("at most ", kMaxNpyHeaderSize - start));
  }
  if (static_cast<int64_t>(bytes.size()) - start < length) return Malformed("cut off in the header", "the whole file");

  NpyHeader header = {};
  const std::string_view literal = bytes.substr(start, length);
  if (literal.empty() || literal.back() != '\n') return Malformed("header without an end of line", "one as its end");
  if (absl::Status status = ParseLiteral(literal, header); !status.ok()) return status;
  header.data_offset = start + length;
  const std::optional<int64_t> count = ElementCount(header.shape);
  // 8 bytes is the most that an element takes, here or in the tensor.
  if (!count || *count > (std::numeric_limits<int64_t>::max() - header.data_offset) / 8) {
    return Malformed(absl::StrCat("shape ", ShapeString(header.shape)), "less than 2^63 bytes");
  }
  header.data_size = *count * header.type->size;
  return header;
}

absl::StatusOr<Tensor> ParseNpy(std::string_view bytes) {
  absl::StatusOr<NpyHeader> header = ParseNpyHeader(bytes);
  if (!header.ok()) return header.status();
  std::string_view data = bytes.substr(header->data_offset);
  if (static_cast<int64_t>(data.size()) != header->data_size) {
    return Malformed(
        absl::StrCat(data.size(), " bytes of elements"),
        absl::StrCat(header->data_size, " for shape ", ShapeString(header->shape), " of ", Absl(header->type->descr)));
  }
  std::string rows;
  if (header->fortran_order && header->shape.size() > 1) {
    rows = RowMajor(data, header->shape, header->type->size);
    data = rows;
  }
  Tensor tensor(header->type->dtype, std::move(header->shape));
  header->type->convert(data, tensor.data());
  return tensor;
}

std::string FormatNpy(const TensorView& tensor) {
  if (tensor.dtype() == DataType::kBit) return FormatNpy(UnpackBits(tensor));
  const NpyType& type =
      *std::find_if(std::begin(kTypes), std::end(kTypes), [&](const NpyType& t) { return t.dtype == tensor.dtype(); });
  std::string shape;
  for (const int64_t length : tensor.shape()) absl::StrAppend(&shape, shape.empty() ? "" : ", ", length);
  if (tensor.shape().size() == 1) shape += ",";
  std::string literal = absl::StrCat("{'descr': '", type.size == 1 ? "|" : "<", Absl(type.descr),
                                     "', 'fortran_order': False, 'shape': (", shape, "), }");

  // The elements start at a multiple of 64, so that a mapped file is aligned.
  const auto padding = [&](size_t length_size) { return 63 - (8 + length_size + literal.size()) % 64; };
  const bool short_header = literal.size() + padding(2) + 1 <= 0xffff;
  const size_t length_size = short_header ? 2 : 4;
  literal.append(padding(length_size), ' ').push_back('\n');
  const auto length = static_cast<uint32_t>(literal.size());

  std::string bytes(kMagic);
  bytes.reserve(8 + length_size + literal.size() + tensor.byte_size());
  bytes += short_header ? '\1' : '\2';
  bytes += '\0';
  bytes.append(reinterpret_cast<const char*>(&length), length_size);
  bytes += literal;
  if (tensor.byte_size() != 0) bytes.append(static_cast<const char*>(tensor.data()), tensor.byte_size());
  return bytes;
}

absl::StatusOr<Tensor> ReadNpy(const std::string& path) {
  absl::StatusOr<std::string> bytes = file::ReadFile(path);
  if (!bytes.ok()) return bytes.status();
  absl::StatusOr<Tensor> tensor = ParseNpy(*bytes);
  if (!tensor.ok()) return file::AtPath(path, tensor.status());
  return tensor;
}

absl::Status WriteNpy(const std::string& path, const TensorView& tensor) {
  return file::WriteFile(path, FormatNpy(tensor));
}

}  // namespace spikeserve::npz

#include "cli/report.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "npz/npy.h"
#include "npz/npz.h"
#include "printable.h"

namespace spikeserve::cli {
namespace {

constexpr int64_t kMostJsonElements = 1000;
constexpr int64_t kMostSummaryElements = 8;
constexpr size_t kMostPadding = 100;  // One long name does not make each line as long.

bool IsMask(DataType dtype) { return dtype == DataType::kBool || dtype == DataType::kBit; }

// `value` with no more digits than a float has, so that 0.1f is shown as 0.1.
double FewestDigits(float value) {
  char digits[32];
  const char* const end = std::to_chars(digits, digits + sizeof digits, value).ptr;
  double shortest = value;
  std::from_chars(digits, end, shortest);
  return shortest;
}

// JSON has no number for these; the strings are Protobuf's.
Json JsonNumber(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "Infinity" : "-Infinity";
  return value;
}

Json JsonElement(DataType dtype, double value) {
  switch (dtype) {
    case DataType::kBool:
    case DataType::kBit:
      return value != 0;
    case DataType::kFloat32:
      return JsonNumber(std::isfinite(value) ? FewestDigits(static_cast<float>(value)) : value);
    case DataType::kFloat64:
      return JsonNumber(value);
    default:
      return static_cast<int64_t>(value);
  }
}

Json JsonArray(const Tensor& array) {
  Json json = {{"dtype", DataTypeName(array.dtype())}, {"shape", Json::array()}};
  for (int64_t length : array.shape()) json["shape"].push_back(length);
  if (array.size() > kMostJsonElements) {
    json["elided"] = true;
    return json;
  }
  Json& values = json["values"] = Json::array();
  for (double value : array.ToDoubles()) values.push_back(JsonElement(array.dtype(), value));
  return json;
}

std::string Describe(const Tensor& array) {
  const std::vector<double> values = array.ToDoubles();
  if (values.empty()) return "empty";
  if (array.size() <= kMostSummaryElements) return absl::StrJoin(values, " ");
  if (IsMask(array.dtype())) {
    return absl::StrCat(std::count(values.begin(), values.end(), 1.0), " true of ", values.size());
  }
  double min = std::numeric_limits<double>::infinity(), max = -min, sum = 0;
  int64_t finite = 0;
  for (double value : values) {
    if (!std::isfinite(value)) continue;
    min = std::min(min, value);
    max = std::max(max, value);
    sum += value;
    ++finite;
  }
  const int64_t others = array.size() - finite;
  const std::string note = others == 0 ? "" : absl::StrCat(others, " not finite");
  if (finite == 0) return note;
  return absl::StrCat("min ", min, "  mean ", sum / finite, "  max ", max, others == 0 ? "" : "  ", note);
}

std::string Text(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_number_float()) return absl::StrCat(value.get<double>());
  return value.dump();
}

std::vector<std::string> Row(std::string name, const Tensor& array) {
  return {std::move(name), std::string(DataTypeName(array.dtype())), ShapeString(array.shape()), Describe(array)};
}

}  // namespace

std::string Table(std::vector<std::vector<std::string>> rows) {
  std::vector<size_t> widths;
  for (auto& row : rows) {
    for (std::string& cell : row) cell = row.size() == 1 ? PrintableLines(cell) : Printable(cell);
  }
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (size_t c = 0; c + 1 < row.size(); ++c) widths[c] = std::max(widths[c], std::min(row[c].size(), kMostPadding));
  }
  std::string lines;
  for (const auto& row : rows) {
    for (size_t c = 0; c < row.size(); ++c) {
      lines += row[c];
      if (c + 1 < row.size()) lines.append(std::max(widths[c], row[c].size()) - row[c].size() + 2, ' ');
    }
    absl::StripTrailingAsciiWhitespace(&lines);
    lines += '\n';
  }
  return lines;
}

void Report::AddArray(std::string name, Tensor array) {
  rows_.push_back(Row(name, array));
  json_[name] = JsonArray(array);
  arrays_.push_back({std::move(name), std::move(array), /*is_number=*/false});
}

void Report::AddNumber(std::string name, float value) {
  Tensor array{TensorView(value)};
  rows_.push_back({name, Describe(array)});
  json_[name] = JsonElement(DataType::kFloat32, value);
  arrays_.push_back({std::move(name), std::move(array), /*is_number=*/true});
}

void Report::AddValue(std::string name, Json value) {
  rows_.push_back({name, Text(value)});
  json_[std::move(name)] = std::move(value);
}

void Report::AddText(std::string name, Json value, std::string text) {
  rows_.push_back({std::move(text)});
  json_[std::move(name)] = std::move(value);
}

absl::Status Report::WriteArrays(const std::string& path) const {
  if (absl::EndsWith(path, ".npz")) {
    std::vector<std::pair<std::string, TensorView>> arrays;
    for (const NamedArray& a : arrays_) arrays.emplace_back(a.name, a.array);
    return npz::WriteNpz(path, arrays);
  }
  std::vector<const NamedArray*> arrays;
  for (const NamedArray& a : arrays_) {
    if (!a.is_number || arrays_.size() == 1) arrays.push_back(&a);
  }
  if (arrays.size() != 1) {
    const auto name = [](std::string* out, const NamedArray* a) { out->append(a->name); };
    return absl::InvalidArgumentError(absl::StrCat(path, ": ", arrays.size(), " arrays", arrays.empty() ? "" : " (",
                                                   absl::StrJoin(arrays, ", ", name), arrays.empty() ? "" : ")",
                                                   "; a .npy file holds one, need FILE.npz"));
  }
  return npz::WriteNpy(path, arrays[0]->array);
}

std::string Report::ToJson() const {
  // It escapes the control characters of ASCII only.
  return Printable(
             json_.dump(/*indent=*/-1, /*indent_char=*/' ', /*ensure_ascii=*/false, Json::error_handler_t::replace)) +
         "\n";
}

}  // namespace spikeserve::cli

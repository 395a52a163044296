#include "telemetry/log_line.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace spikeserve::telemetry {
namespace {

// Of a string in a line, when it is escaped.
constexpr size_t kMaxStringBytes = 1024;
constexpr char kReplacement[] = "\xEF\xBF\xBD";  // U+FFFD.

// The length of the UTF-8 character that `bytes` begin with, by table 3-7 of the Unicode standard; 0 where they begin
// with none.
size_t CharacterSize(std::string_view bytes) {
  const auto at = [&](size_t i) { return i < bytes.size() ? static_cast<uint8_t>(bytes[i]) : 0; };
  const auto continues = [&](size_t i) { return at(i) >= 0x80 && at(i) <= 0xBF; };
  const uint8_t first = at(0);
  if (first < 0x80) return 1;
  if (first >= 0xC2 && first <= 0xDF) return continues(1) ? 2 : 0;
  if (first >= 0xE0 && first <= 0xEF) {
    // Neither overlong nor a surrogate.
    const uint8_t min = first == 0xE0 ? 0xA0 : 0x80, max = first == 0xED ? 0x9F : 0xBF;
    return at(1) >= min && at(1) <= max && continues(2) ? 3 : 0;
  }
  if (first >= 0xF0 && first <= 0xF4) {
    const uint8_t min = first == 0xF0 ? 0x90 : 0x80, max = first == 0xF4 ? 0x8F : 0xBF;
    return at(1) >= min && at(1) <= max && continues(2) && continues(3) ? 4 : 0;
  }
  return 0;
}

// The string in JSON (RFC 8259), cut where it is too long.
void AppendJsonString(std::string_view bytes, std::string& out) {
  const size_t end = out.size() + kMaxStringBytes;
  out += '"';
  while (!bytes.empty()) {
    const size_t size = CharacterSize(bytes);
    const uint8_t first = static_cast<uint8_t>(bytes[0]);
    const size_t begin = out.size();
    if (size == 0) {
      out += kReplacement;
    } else if (first == '"' || first == '\\') {
      out += {'\\', bytes[0]};
    } else if (first < 0x20 || first == 0x7F) {
      absl::StrAppendFormat(&out, "\\u%04x", first);
    } else if (first == 0xC2 && static_cast<uint8_t>(bytes[1]) < 0xA0) {
      // U+0080 to U+009F, which terminals obey as they do escape sequences.
      absl::StrAppendFormat(&out, "\\u%04x", static_cast<uint8_t>(bytes[1]));
    } else {
      out += bytes.substr(0, size);
    }
    if (out.size() > end) {
      out.resize(begin);
      out += "...";
      break;
    }
    bytes.remove_prefix(std::max<size_t>(size, 1));
  }
  out += '"';
}

bool IsPlain(std::string_view text) {
  for (const char c : text) {
    if (!absl::ascii_isalnum(static_cast<unsigned char>(c)) && std::string_view("_-.:/@+").find(c) == text.npos) {
      return false;
    }
  }
  return !text.empty() && text.size() <= kMaxStringBytes;
}

std::string Rfc3339(absl::Time time) { return absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", time, absl::UTCTimeZone()); }

void AppendValue(LogFormat format, const LogField& field, std::string& out) {
  if (const auto* text = std::get_if<std::string_view>(&field.value)) {
    if (format == LogFormat::kText && IsPlain(*text)) {
      out += *text;
    } else {
      AppendJsonString(*text, out);
    }
  } else if (const auto* number = std::get_if<double>(&field.value)) {
    absl::StrAppendFormat(&out, "%.3f", *number);
  } else {
    absl::StrAppend(&out, std::get<int64_t>(field.value));
  }
}

}  // namespace

std::string_view LogLevelName(LogLevel level) {
  constexpr std::string_view kNames[] = {"debug", "info", "warning", "error", "off"};
  return kNames[static_cast<size_t>(level)];
}

std::string FormatLogLine(LogFormat format, absl::Time time, LogLevel level, std::string_view message,
                          absl::Span<const LogField> fields) {
  std::string line;
  if (format == LogFormat::kText) {
    line = absl::StrFormat("%s %-7s ", Rfc3339(time), LogLevelName(level));
    line += message;
    for (const LogField& field : fields) {
      absl::StrAppend(&line, " ", absl::string_view(field.key.data(), field.key.size()), "=");
      AppendValue(format, field, line);
    }
    return line;
  }
  line = absl::StrFormat(R"({"time":"%s","level":"%s","message":)", Rfc3339(time), LogLevelName(level));
  AppendJsonString(message, line);
  for (const LogField& field : fields) {
    absl::StrAppend(&line, ",\"", absl::string_view(field.key.data(), field.key.size()), "\":");
    AppendValue(format, field, line);
  }
  line += '}';
  return line;
}

}  // namespace spikeserve::telemetry

#include "telemetry/log_line.h"

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "printable.h"

namespace spikeserve::telemetry {
namespace {

// Of a string in a line, when it is escaped.
constexpr size_t kMaxStringBytes = 1024;

// The string in JSON (RFC 8259), cut where it is too long.
void AppendJsonString(std::string_view bytes, std::string& out) {
  const size_t end = out.size() + kMaxStringBytes;
  out += '"';
  while (!bytes.empty()) {
    const size_t begin = out.size();
    size_t size = 1;
    if (bytes[0] == '"' || bytes[0] == '\\') {
      out += {'\\', bytes[0]};
    } else {
      size = AppendPrintableCharacter(bytes, out);
    }
    if (out.size() > end) {
      out.resize(begin);
      out += "...";
      break;
    }
    bytes.remove_prefix(size);
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

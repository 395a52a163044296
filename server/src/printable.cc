#include "printable.h"

#include <algorithm>
#include <cstdint>

#include "absl/strings/str_format.h"

namespace spikeserve {
namespace {

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

}  // namespace

size_t AppendPrintableCharacter(std::string_view bytes, std::string& out) {
  const size_t size = CharacterSize(bytes);
  const auto first = static_cast<uint8_t>(bytes[0]);
  if (size == 0) {
    out += kReplacement;
    return 1;
  }
  if (first < 0x20 || first == 0x7F) {
    absl::StrAppendFormat(&out, "\\u%04x", first);
  } else if (first == 0xC2 && static_cast<uint8_t>(bytes[1]) < 0xA0) {
    // U+0080 to U+009F, which terminals obey as they do escape sequences.
    absl::StrAppendFormat(&out, "\\u%04x", static_cast<uint8_t>(bytes[1]));
  } else {
    out += bytes.substr(0, size);
  }
  return size;
}

std::string Printable(std::string_view text) {
  std::string line;
  line.reserve(text.size());
  while (!text.empty()) {
    if (text[0] == '\n' || text[0] == '\t') {
      line += ' ';
      text.remove_prefix(1);
    } else {
      text.remove_prefix(AppendPrintableCharacter(text, line));
    }
  }
  return line;
}

std::string PrintableLines(std::string_view text) {
  std::string lines;
  for (;;) {
    const size_t end = text.find('\n');
    lines += Printable(text.substr(0, end));
    if (end == text.npos) return lines;
    lines += '\n';
    text.remove_prefix(end + 1);
  }
}

std::string_view CutLine(std::string_view line, size_t most) {
  if (line.size() <= most) return line;
  while (most > 0 && (line[most] & 0xC0) == 0x80) --most;
  return line.substr(0, most);
}

}  // namespace spikeserve

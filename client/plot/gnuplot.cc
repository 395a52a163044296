#include "plot/gnuplot.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "file/file.h"
#include "plot/child_process.h"
#include "spikeserve/compute/field_error.h"

namespace spikeserve::plot {
namespace {

constexpr int kMinCanvas = 300, kMaxCanvas = 10000;

// The length of the UTF-8 character at the front of `text`, 0 for none that may stand in XML.
size_t CharacterLength(std::string_view text) {
  const auto byte = [&](size_t i) { return i < text.size() ? static_cast<uint8_t>(text[i]) : 0; };
  const uint8_t lead = byte(0);
  if (lead < 0x80) return lead >= 0x20 && lead != 0x7f ? 1 : 0;
  const size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4) return 0;
  uint32_t code = lead & (0x7f >> length);
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
    code = code << 6 | (byte(i) & 0x3f);
  }
  const bool overlong = (length == 3 && code < 0x800) || (length == 4 && code < 0x10000);
  const bool no_character = (code >= 0x80 && code < 0xa0) || (code >= 0xd800 && code < 0xe000) ||
                            (code & 0xfffe) == 0xfffe || code > 0x10ffff;
  return overlong || no_character ? 0 : length;
}

}  // namespace

std::string Quoted(std::string_view text) {
  std::string clean;
  while (!text.empty()) {
    const size_t length = CharacterLength(text);
    clean += length == 0 ? " " : text.substr(0, length);
    text.remove_prefix(std::max<size_t>(length, 1));
  }
  return absl::StrCat("'", absl::StrReplaceAll(clean, {{"'", "''"}}), "'");
}

double TicStep(double range, double pixels, double pixels_apart) {
  const double least = range / pixels * pixels_apart;
  const double power = std::pow(10.0, std::floor(std::log10(least)));
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (factor * power >= least) return factor * power;
  }
  return 10 * power;
}

bool IsSvg(const std::string& path) { return absl::EndsWith(path, ".svg"); }

absl::Status CheckOptions(const PlotOptions& options, const std::string& path) {
  if (!absl::EndsWith(path, ".png") && !IsSvg(path)) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": unknown kind of picture; need a name in .png or .svg"));
  }
  for (const auto& [name, size] : {std::pair("width", options.width), std::pair("height", options.height)}) {
    if (size != 0 && (size < kMinCanvas || size > kMaxCanvas)) {
      return InvalidField(name, absl::StrCat(size), absl::StrCat(kMinCanvas, " to ", kMaxCanvas, " pixels, or 0"));
    }
  }
  return absl::OkStatus();
}

std::string Canvas(int width, int height, const PlotOptions& options, const std::string& path) {
  // A long title gets smaller letters; on the average they are about three quarters of a point size wide, in pixels.
  const double title_size = std::clamp(width / (0.75 * (options.title.size() + 1)), 7.0, 13.0);
  std::string commands =
      absl::StrFormat("set terminal %s size %d,%d noenhanced background '#ffffff' font '%s'\nset encoding utf8\n",
                      IsSvg(path) ? "svg" : "pngcairo", width, height, IsSvg(path) ? "sans-serif,12" : "Sans,10");
  absl::StrAppendFormat(&commands, "set title %s font ',%.1f'\nset xlabel %s\nset ylabel %s\n", Quoted(options.title),
                        title_size, Quoted(options.x_label), Quoted(options.y_label));
  return commands + "set border linecolor rgb '#404040'\n";
}

absl::Status Draw(std::string commands, std::string_view data, const std::string& path) {
  commands.append(data);
  absl::StatusOr<ChildResult> drawn = RunChild({"gnuplot", "--default-settings", "-"}, commands);
  if (absl::IsNotFound(drawn.status())) {
    return absl::FailedPreconditionError("gnuplot: not found; need Debian's gnuplot-nox");
  }
  if (!drawn.ok()) return drawn.status();
  if (!drawn->succeeded || drawn->output.empty()) {
    return absl::InternalError(absl::StrCat(path, ": gnuplot failed: ", absl::StripAsciiWhitespace(drawn->errors)));
  }
  if (IsSvg(path)) {
    // Viewers would blur the edges between the cells of an image that they enlarge; and of a text's characters, gnuplot
    // leaves one as it is that XML forbids at this place.
    absl::StrReplaceAll({{"<image ", "<image image-rendering='pixelated' "}, {"]]>", "]]&gt;"}}, &drawn->output);
  }
  return file::WriteFile(path, drawn->output);
}

}  // namespace spikeserve::plot

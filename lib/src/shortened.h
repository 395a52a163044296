// Internal: texts of any length in errors.

#ifndef SPIKESERVE_COMPUTE_SRC_SHORTENED_H_
#define SPIKESERVE_COMPUTE_SRC_SHORTENED_H_

#include <cstddef>
#include <string>
#include <string_view>

namespace spikeserve {

// `text`, of which as many characters as fit into `most` bytes, and "...", where it has more.
inline std::string Shortened(std::string_view text, size_t most) {
  if (text.size() <= most) return std::string(text);
  while (most > 0 && (text[most] & 0xC0) == 0x80) --most;  // Not within a character.
  return std::string(text.substr(0, most)) + "...";
}

}  // namespace spikeserve

#endif  // SPIKESERVE_COMPUTE_SRC_SHORTENED_H_

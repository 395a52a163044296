// Texts of others in lines that people read: a terminal obeys the control characters in them.

#ifndef SPIKESERVE_SERVER_PRINTABLE_H_
#define SPIKESERVE_SERVER_PRINTABLE_H_

#include <cstddef>
#include <string>
#include <string_view>

namespace spikeserve {

// Appends the character that `bytes`, which are not empty, begin with and returns how many of them it is. A control
// character (C0, DEL, C1) is written as \u0000, a byte that is no UTF-8 as U+FFFD.
size_t AppendPrintableCharacter(std::string_view bytes, std::string& out);

// `text` as one line of valid UTF-8 without control characters: line breaks and tabs become blanks, and the others what
// AppendPrintableCharacter makes of them.
std::string Printable(std::string_view text);

// The same, line by line.
std::string PrintableLines(std::string_view text);

// The beginning of a printable line that has at most so many bytes, cut between characters.
std::string_view CutLine(std::string_view line, size_t most);

}  // namespace spikeserve

#endif  // SPIKESERVE_SERVER_PRINTABLE_H_

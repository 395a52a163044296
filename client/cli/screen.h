// A terminal's whole screen, by ANSI control sequences.

#ifndef SPIKESERVE_CLI_SCREEN_H_
#define SPIKESERVE_CLI_SCREEN_H_

#include <termios.h>

#include <cstddef>
#include <string>
#include <vector>

#include "absl/time/time.h"

namespace spikeserve::cli {

// Takes the terminal that is stdin and stdout over, and gives it back as it was when it is destroyed. One at a time.
class Screen {
 public:
  // Whether there is such a terminal.
  static bool Available();

  Screen();
  ~Screen();
  Screen(const Screen&) = delete;
  Screen& operator=(const Screen&) = delete;

  struct Size {
    size_t columns;
    size_t rows;
  };
  // As it is now; 80 x 24 where the terminal does not tell.
  Size size() const;

  // Replaces what is there.
  void Show(const std::vector<std::string>& lines);

  // Waits until `time`; returns false at once where the user types q or Ctrl-C, or the program is to end.
  bool WaitUntil(absl::Time time);

 private:
  termios before_{};
};

}  // namespace spikeserve::cli

#endif  // SPIKESERVE_CLI_SCREEN_H_

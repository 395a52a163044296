#include "cli/screen.h"

#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <iostream>
#include <string_view>

#include "absl/time/clock.h"

namespace spikeserve::cli {
namespace {

constexpr char kOtherScreen[] = "\033[?1049h", kFirstScreen[] = "\033[?1049l";
constexpr char kHideCursor[] = "\033[?25l", kShowCursor[] = "\033[?25h";
constexpr char kHome[] = "\033[H", kClearLine[] = "\033[K", kClearBelow[] = "\033[J";
constexpr char kControlC = 3;

volatile std::sig_atomic_t ended = 0;

void OnSignal(int) { ended = 1; }

}  // namespace

bool Screen::Available() {
  const char* terminal = std::getenv("TERM");
  return isatty(STDIN_FILENO) == 1 && isatty(STDOUT_FILENO) == 1 && terminal != nullptr &&
         std::string_view(terminal) != "dumb";
}

Screen::Screen() {
  tcgetattr(STDIN_FILENO, &before_);
  // Keys come one by one and are not shown; Ctrl-C is one of them, so that the terminal is given back.
  termios keys = before_;
  keys.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO | ISIG);
  keys.c_cc[VMIN] = 0;
  keys.c_cc[VTIME] = 0;
  tcsetattr(STDIN_FILENO, TCSANOW, &keys);
  for (const int signal : {SIGTERM, SIGHUP}) std::signal(signal, OnSignal);
  std::cout << kOtherScreen << kHideCursor << std::flush;
}

Screen::~Screen() {
  std::cout << kShowCursor << kFirstScreen << std::flush;
  tcsetattr(STDIN_FILENO, TCSANOW, &before_);
  for (const int signal : {SIGTERM, SIGHUP}) std::signal(signal, SIG_DFL);
}

Screen::Size Screen::size() const {
  winsize size{};
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0 || size.ws_row == 0) return {80, 24};
  return {size.ws_col, size.ws_row};
}

void Screen::Show(const std::vector<std::string>& lines) {
  // Each line over the old one, so that nothing flickers; no end of line after the last one, which would scroll.
  std::cout << kHome;
  for (size_t i = 0; i < lines.size(); ++i) std::cout << (i == 0 ? "" : "\n") << lines[i] << kClearLine;
  std::cout << kClearBelow << std::flush;
}

bool Screen::WaitUntil(absl::Time time) {
  while (!ended) {
    const absl::Duration left = time - absl::Now();
    if (left <= absl::ZeroDuration()) return true;
    // Not for long: a signal may come just before poll begins.
    pollfd keys{STDIN_FILENO, POLLIN, 0};
    const int ready = poll(&keys, 1, static_cast<int>(std::min<int64_t>(absl::ToInt64Milliseconds(left) + 1, 200)));
    if (ready <= 0) continue;
    char key;
    const ssize_t count = read(STDIN_FILENO, &key, 1);
    if (count == 0 || (count < 0 && errno != EINTR && errno != EAGAIN)) return false;  // The terminal is gone.
    if (count == 1 && (key == 'q' || key == 'Q' || key == kControlC)) return false;
  }
  return false;
}

}  // namespace spikeserve::cli

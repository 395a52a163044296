#include "telemetry/log_sink.h"

#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <string_view>

#include "spdlog/details/log_msg.h"
#include "telemetry/log_line.h"

namespace spikeserve::telemetry {
namespace {

// Whether a pipe, a socket or a terminal has room for a line, or a moment later; files always have.
bool HasRoom(int fd, int milliseconds) {
  pollfd file{fd, POLLOUT, 0};
  return poll(&file, 1, milliseconds) == 1 && (file.revents & POLLOUT) != 0;
}

}  // namespace

void LogSink::sink_it_(const spdlog::details::log_msg& message) {
  // As long as it waits here, the queue overflows, which drops the oldest lines.
  constexpr int kMilliseconds = 50;
  bool has_room = HasRoom(fd_, 0);
  while (!has_room && Clock::now() < waits_until_.load()) has_room = HasRoom(fd_, kMilliseconds);
  std::string_view rest(message.payload.data(), message.payload.size());
  // A pipe that has room takes a whole line of kMaxLogLine bytes.
  while (has_room && !rest.empty()) {
    const ssize_t written = write(fd_, rest.data(), rest.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) break;
    rest.remove_prefix(static_cast<size_t>(written));
  }
  if (!rest.empty()) ++dropped_;
}

}  // namespace spikeserve::telemetry

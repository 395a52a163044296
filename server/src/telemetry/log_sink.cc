#include "telemetry/log_sink.h"

#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <string_view>

#include "spdlog/details/log_msg.h"
#include "telemetry/log_line.h"

namespace spikeserve::telemetry {
namespace {

enum class Room { kYes, kNotYet, kNever };

// Whether a pipe, a socket or a terminal has room for a line, or a moment later; files always have. Never: nobody will
// read it.
Room RoomOf(int fd, int milliseconds) {
  pollfd file{fd, POLLOUT, 0};
  const int ready = poll(&file, 1, milliseconds);
  if (ready == 0 || (ready < 0 && errno == EINTR)) return Room::kNotYet;
  return ready == 1 && (file.revents & POLLOUT) != 0 ? Room::kYes : Room::kNever;
}

}  // namespace

void LogSink::sink_it_(const spdlog::details::log_msg& message) {
  // As long as it waits here, the queue overflows, which drops the oldest lines.
  constexpr int kMilliseconds = 50;
  Room room = RoomOf(fd_, 0);
  while (room == Room::kNotYet && Clock::now() < waits_until_.load()) room = RoomOf(fd_, kMilliseconds);
  std::string_view rest(message.payload.data(), message.payload.size());
  // A pipe that has room takes a whole line of kMaxLogLine bytes.
  while (room == Room::kYes && !rest.empty()) {
    const ssize_t written = write(fd_, rest.data(), rest.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) break;
    rest.remove_prefix(static_cast<size_t>(written));
  }
  if (!rest.empty()) ++dropped_;
}

}  // namespace spikeserve::telemetry

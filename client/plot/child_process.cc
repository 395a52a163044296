#include "plot/child_process.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <utility>
#include <vector>

#include "absl/cleanup/cleanup.h"

extern char** environ;

namespace spikeserve::plot {
namespace {

// Closed where it goes out of scope.
class Descriptor {
 public:
  Descriptor() = default;
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() { Close(); }

  int* fill() { return &fd_; }
  int get() const { return fd_; }
  void Close() {
    if (fd_ >= 0) close(std::exchange(fd_, -1));
  }

 private:
  int fd_ = -1;
};

struct Channel {
  Descriptor ours, theirs;

  // Sockets rather than pipes: sending to a child that is gone is an error then, not a signal.
  absl::Status Open() {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) return absl::ErrnoToStatus(errno, "socketpair");
    *ours.fill() = ends[0];
    *theirs.fill() = ends[1];
    return absl::OkStatus();
  }
};

// Feeds and drains the child until it has closed its side of all channels.
absl::Status Exchange(Channel (&channels)[3], std::string_view input, ChildResult& result) {
  std::string* const sinks[3] = {nullptr, &result.output, &result.errors};
  std::vector<char> buffer(1 << 16);
  while (channels[1].ours.get() >= 0 || channels[2].ours.get() >= 0) {
    if (input.empty()) channels[0].ours.Close();
    pollfd waiting[3];  // poll skips those closed, which are -1.
    for (int i = 0; i < 3; ++i) waiting[i] = {channels[i].ours.get(), static_cast<short>(i == 0 ? POLLOUT : POLLIN), 0};
    if (poll(waiting, 3, -1) < 0 && errno != EINTR) return absl::ErrnoToStatus(errno, "poll");
    if (waiting[0].revents != 0) {
      const ssize_t n = send(waiting[0].fd, input.data(), input.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      if (n >= 0) input.remove_prefix(n);
      if (n < 0 && errno != EAGAIN && errno != EINTR) input = {};  // It reads no more; its end will tell why.
    }
    for (int i = 1; i < 3; ++i) {
      if (waiting[i].revents == 0) continue;
      const ssize_t n = recv(waiting[i].fd, buffer.data(), buffer.size(), MSG_DONTWAIT);
      if (n > 0) sinks[i]->append(buffer.data(), n);
      if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) channels[i].ours.Close();
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<ChildResult> RunChild(absl::Span<const std::string> arguments, std::string_view input) {
  Channel channels[3];
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  const absl::Cleanup destroy_actions = [&actions] { posix_spawn_file_actions_destroy(&actions); };
  for (int i = 0; i < 3; ++i) {
    if (absl::Status status = channels[i].Open(); !status.ok()) return status;
    posix_spawn_file_actions_adddup2(&actions, channels[i].theirs.get(), i);
  }
  std::vector<char*> argv;
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  pid_t pid;
  if (const int error = posix_spawnp(&pid, argv[0], &actions, nullptr, argv.data(), environ); error != 0) {
    return absl::ErrnoToStatus(error, arguments[0]);
  }
  for (Channel& channel : channels) channel.theirs.Close();

  ChildResult result;
  const absl::Status status = Exchange(channels, input, result);
  for (Channel& channel : channels) channel.ours.Close();
  int exit = 0;
  while (waitpid(pid, &exit, 0) < 0) {
    if (errno != EINTR) return absl::ErrnoToStatus(errno, "waitpid");
  }
  if (!status.ok()) return status;
  result.succeeded = WIFEXITED(exit) && WEXITSTATUS(exit) == 0;
  return result;
}

}  // namespace spikeserve::plot

#include "rpc/sent.h"

#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <system_error>

#include "absl/strings/numbers.h"
#include "absl/time/clock.h"
#include "runtime/steady_time.h"

namespace spikeserve::rpc {
namespace {

// Of a connection; 0 for all other descriptors.
int64_t UnsentBytes(int descriptor) {
  int type = 0;
  socklen_t size = sizeof(type);
  if (getsockopt(descriptor, SOL_SOCKET, SO_TYPE, &type, &size) != 0 || type != SOCK_STREAM) return 0;
  int listens = 0;
  size = sizeof(listens);
  if (getsockopt(descriptor, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) != 0 || listens != 0) return 0;
  int bytes = 0;
  return ioctl(descriptor, SIOCOUTQ, &bytes) == 0 ? bytes : 0;
}

// Of all connections. What standard input and output are is others' business.
int64_t AllUnsentBytes() {
  int64_t bytes = 0;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd", error)) {
    int descriptor;
    if (!absl::SimpleAtoi(entry.path().filename().string(), &descriptor) || descriptor <= STDERR_FILENO) continue;
    bytes += UnsentBytes(descriptor);
  }
  return bytes;
}

}  // namespace

void WaitUntilSent(absl::Duration most) {
  // gRPC may just be about to write more: it does so when the peer says that there is room.
  constexpr int kQuietLooks = 10;
  constexpr absl::Duration kPatience = absl::Seconds(1);
  int64_t least = std::numeric_limits<int64_t>::max();
  const absl::Time end = server::SteadyNow() + most;
  absl::Time progress = server::SteadyNow();
  for (int quiet = 0; quiet < kQuietLooks && server::SteadyNow() < end && server::SteadyNow() - progress < kPatience;) {
    const int64_t bytes = AllUnsentBytes();
    quiet = bytes > 0 ? 0 : quiet + 1;
    // Less than ever: what others write meanwhile is no reason to wait on.
    if (bytes < least) progress = server::SteadyNow();
    least = std::min(least, bytes);
    absl::SleepFor(absl::Milliseconds(2));
  }
}

}  // namespace spikeserve::rpc

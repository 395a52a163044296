#include "rpc/sent.h"

#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <filesystem>
#include <system_error>

#include "absl/strings/numbers.h"
#include "absl/time/clock.h"

namespace spikeserve::rpc {
namespace {

bool HasUnsentBytes(int descriptor) {
  int type = 0;
  socklen_t size = sizeof(type);
  if (getsockopt(descriptor, SOL_SOCKET, SO_TYPE, &type, &size) != 0 || type != SOCK_STREAM) return false;
  int listens = 0;
  size = sizeof(listens);
  if (getsockopt(descriptor, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) != 0 || listens != 0) return false;
  int bytes = 0;
  return ioctl(descriptor, SIOCOUTQ, &bytes) == 0 && bytes > 0;
}

bool AnyHasUnsentBytes() {
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd", error)) {
    int descriptor;
    if (absl::SimpleAtoi(entry.path().filename().string(), &descriptor) && HasUnsentBytes(descriptor)) return true;
  }
  return false;
}

}  // namespace

void WaitUntilSent(absl::Time deadline) {
  // gRPC may just be about to write more: it does so when the peer says that there is room.
  constexpr int kQuietLooks = 10;
  for (int quiet = 0; quiet < kQuietLooks && absl::Now() < deadline;) {
    quiet = AnyHasUnsentBytes() ? 0 : quiet + 1;
    absl::SleepFor(absl::Milliseconds(2));
  }
}

}  // namespace spikeserve::rpc

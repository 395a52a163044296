#include "rpc/listening.h"

#include <netdb.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <optional>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "rpc/address.h"
#include "shared_memory/file_descriptor.h"
#include "shared_memory/handover_socket.h"
#include "spikeserve/compute/field_error.h"

namespace spikeserve::rpc {
namespace {

using shared_memory::FileDescriptor;

constexpr char kFlag[] = "--listen";
constexpr char kUnix[] = "unix:";
constexpr char kUnixPath[] = "unix:PATH with a path of up to 107 bytes";

absl::Status CannotListen(const std::string& address, const std::string& why) {
  return FieldError(absl::StatusCode::kUnavailable, kFlag, absl::StrCat("cannot listen on ", address, ": ", why),
                    "HOST:PORT or unix:PATH that is free and allowed");
}

// The address of a socket in the file system, as gRPC reads "unix:PATH" and "unix:///PATH"; nullopt for one that is
// empty or too long.
std::optional<sockaddr_un> UnixAddress(const std::string& address) {
  std::string path = address.substr(std::strlen(kUnix));
  if (absl::StartsWith(path, "///")) path = path.substr(2);
  if (path.empty() || path.size() >= sizeof(sockaddr_un::sun_path)) return std::nullopt;
  return shared_memory::AddressOf(path);
}

// Binds a socket for a moment; 0, or the error.
int ErrorOfBinding(int family, const sockaddr* address, socklen_t size) {
  const FileDescriptor socket(::socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket) return errno;
  const int yes = 1;
  setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
  if (bind(socket.get(), address, size) != 0 || listen(socket.get(), 1) != 0) return errno;
  return 0;
}

std::string WhyNotUnix(const sockaddr_un& address) {
  const int error = ErrorOfBinding(AF_UNIX, reinterpret_cast<const sockaddr*>(&address), sizeof(address));
  if (error == 0) unlink(address.sun_path);
  return error == 0 ? "unknown reason" : std::strerror(error);
}

std::string WhyNotPort(const std::string& address) {
  const std::string port = address.substr(address.rfind(':') + 1);
  addrinfo hints = {};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const int failed = getaddrinfo(HostOf(address).c_str(), port.c_str(), &hints, &found);
  if (failed != 0) return gai_strerror(failed);
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owned(found, freeaddrinfo);
  for (const addrinfo* one = found; one != nullptr; one = one->ai_next) {
    if (const int error = ErrorOfBinding(one->ai_family, one->ai_addr, one->ai_addrlen); error != 0) {
      return std::strerror(error);
    }
  }
  return "unknown reason";
}

}  // namespace

absl::Status CheckListenAddress(const std::string& address) {
  const std::string got = absl::StrCat("\"", address, "\"");
  if (absl::StartsWith(address, kUnix)) {
    return UnixAddress(address) ? absl::OkStatus() : InvalidField(kFlag, got, kUnixPath);
  }
  const size_t colon = address.rfind(':');
  int port;
  // gRPC takes ports modulo 65536.
  if (colon == std::string::npos || colon == 0 || address.find('/') != std::string::npos ||
      !absl::SimpleAtoi(address.substr(colon + 1), &port) || port < 0 || port > 65535) {
    return InvalidField(
        kFlag, got, "HOST:PORT with a port up to 65535 (0.0.0.0:PORT or [::]:PORT for all interfaces), or unix:PATH");
  }
  return absl::OkStatus();
}

absl::Status CheckNotServed(const std::string& address) {
  if (!absl::StartsWith(address, kUnix)) return absl::OkStatus();
  const std::optional<sockaddr_un> path = UnixAddress(address);
  const FileDescriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!path || !socket) return absl::OkStatus();
  const bool connected = connect(socket.get(), reinterpret_cast<const sockaddr*>(&*path), sizeof(*path)) == 0;
  // One whose backlog is full is there as well.
  if (connected || errno == EAGAIN) return CannotListen(address, "another server listens there");
  return absl::OkStatus();
}

absl::Status CannotListen(const std::string& address) {
  if (!absl::StartsWith(address, kUnix)) return CannotListen(address, WhyNotPort(address));
  const std::optional<sockaddr_un> path = UnixAddress(address);
  return CannotListen(address, path ? WhyNotUnix(*path) : "its path is too long");
}

}  // namespace spikeserve::rpc

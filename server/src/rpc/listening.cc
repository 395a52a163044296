#include "rpc/listening.h"

#include <netdb.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <memory>
#include <optional>

#include "absl/functional/function_ref.h"
#include "absl/strings/ascii.h"
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
constexpr char kUnixPath[] = "unix:PATH with a path of up to 107 bytes and no control characters";

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

// Why no socket can be made there; empty: nothing is known to be in its way. A socket that is there already gRPC
// replaces, but nothing else.
std::string WhyNotMade(const std::filesystem::path& path) {
  struct stat file;
  if (stat(path.c_str(), &file) == 0 && !S_ISSOCK(file.st_mode)) return std::strerror(EADDRINUSE);
  const std::filesystem::path folder = path.has_parent_path() ? path.parent_path() : ".";
  // With the dot a file is no folder.
  return access((folder / ".").c_str(), W_OK | X_OK) == 0 ? "" : std::strerror(errno);
}

// Why none can listen on one of the addresses that "HOST:PORT" stands for, a name for several, where the error is one
// that `counts`; empty: there is no such error.
std::string WhyNotPort(const std::string& address, absl::FunctionRef<bool(int error)> counts) {
  const std::string port = address.substr(address.rfind(':') + 1);
  addrinfo hints = {};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const int failed = getaddrinfo(HostOf(address).c_str(), port.c_str(), &hints, &found);
  if (failed != 0) return gai_strerror(failed);
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owned(found, freeaddrinfo);
  for (const addrinfo* one = found; one != nullptr; one = one->ai_next) {
    const int error = ErrorOfBinding(one->ai_family, one->ai_addr, one->ai_addrlen);
    if (error != 0 && counts(error)) return std::strerror(error);
  }
  return "";
}

// gRPC reads "SCHEME:REST" as something else than a host and its port.
bool IsScheme(const std::string& host) {
  for (const char* scheme : {"unix-abstract", "dns", "ipv4", "ipv6", "vsock"}) {
    if (absl::EqualsIgnoreCase(host, scheme)) return true;
  }
  return false;
}

bool HasControlCharacter(const std::string& text) { return std::any_of(text.begin(), text.end(), absl::ascii_iscntrl); }

// A name, an IPv4 address, or an IPv6 address in brackets: without these gRPC would take all for the address, and
// choose a port itself.
bool IsHost(const std::string& host) {
  const bool in_brackets = absl::StartsWith(host, "[") && absl::EndsWith(host, "]");
  return !host.empty() && host.find_first_of("/ ") == std::string::npos && !HasControlCharacter(host) &&
         !IsScheme(host) && (in_brackets || host.find(':') == std::string::npos);
}

// gRPC takes ports modulo 65536, and the system takes what looks like one.
bool IsPort(const std::string& text) {
  int port;
  return std::all_of(text.begin(), text.end(), absl::ascii_isdigit) && absl::SimpleAtoi(text, &port) && port <= 65535;
}

}  // namespace

absl::Status CheckListenAddress(const std::string& address) {
  const std::string got = absl::StrCat("\"", address, "\"");
  if (absl::StartsWith(address, kUnix)) {
    return UnixAddress(address) && !HasControlCharacter(address) ? absl::OkStatus()
                                                                 : InvalidField(kFlag, got, kUnixPath);
  }
  const size_t colon = address.rfind(':');
  if (colon == std::string::npos || !IsHost(address.substr(0, colon)) || !IsPort(address.substr(colon + 1))) {
    return InvalidField(
        kFlag, got, "HOST:PORT with a port up to 65535 (0.0.0.0:PORT or [::]:PORT for all interfaces), or unix:PATH");
  }
  return absl::OkStatus();
}

std::string OneSpelling(const std::string& address) {
  if (absl::StartsWith(address, kUnix)) {
    const std::optional<sockaddr_un> path = UnixAddress(address);
    if (!path) return address;
    std::error_code error;
    const auto whole = std::filesystem::absolute(path->sun_path, error);
    const auto canonical = std::filesystem::weakly_canonical(whole, error);
    return absl::StrCat(kUnix, error ? whole.string() : canonical.string());
  }
  const size_t port = address.rfind(':') + 1;
  const size_t digits = std::min(address.find_first_not_of('0', port), address.size() - 1);
  return absl::StrCat(address.substr(0, port), address.substr(digits));
}

absl::Status CheckPathFree(const std::string& address) {
  if (!absl::StartsWith(address, kUnix)) return absl::OkStatus();
  const std::optional<sockaddr_un> path = UnixAddress(address);
  const FileDescriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!path || !socket) return absl::OkStatus();
  if (const std::string why = WhyNotMade(path->sun_path); !why.empty()) return CannotListen(address, why);
  const bool connected = connect(socket.get(), reinterpret_cast<const sockaddr*>(&*path), sizeof(*path)) == 0;
  // One whose backlog is full is there as well.
  if (connected || errno == EAGAIN) return CannotListen(address, "another server listens there");
  return absl::OkStatus();
}

absl::Status CheckPortFree(const std::string& address) {
  if (absl::StartsWith(address, kUnix)) return absl::OkStatus();
  // A name may well have addresses that this machine has not.
  const std::string why = WhyNotPort(address, [](int error) { return error == EADDRINUSE || error == EACCES; });
  return why.empty() ? absl::OkStatus() : CannotListen(address, why);
}

absl::Status CannotListen(const std::string& address) {
  if (!absl::StartsWith(address, kUnix)) {
    const std::string why = WhyNotPort(address, [](int) { return true; });
    return CannotListen(address, why.empty() ? "unknown reason" : why);
  }
  const std::optional<sockaddr_un> path = UnixAddress(address);
  return CannotListen(address, path ? WhyNotUnix(*path) : "its path is too long");
}

}  // namespace spikeserve::rpc

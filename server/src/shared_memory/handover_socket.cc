#include "shared_memory/handover_socket.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "spikeserve/compute/field_error.h"

namespace spikeserve::shared_memory {
namespace {

constexpr char kSuffix[] = ".shm";
constexpr size_t kMaxPacketBytes = 4096;
// The most that the kernel passes on with one packet (SCM_MAX_FD). With room for all of them none is lost, and each
// that comes is closed.
constexpr size_t kMaxAttachments = 253;
// Connections that wait to be accepted.
constexpr int kBacklog = 64;

absl::Status Unavailable(absl::string_view what, int error) {
  return absl::UnavailableError(absl::StrCat(what, ": ", strerror(error)));
}

FileDescriptor NewSocket(int flags) {
  return FileDescriptor(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | flags, 0));
}

}  // namespace

sockaddr_un AddressOf(const std::string& path) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

absl::StatusOr<std::string> HandoverPath(std::string_view address, std::string_view field) {
  absl::string_view path(address.data(), address.size());
  const std::string got = absl::StrCat("\"", path, "\"");
  // gRPC takes "unix:PATH" and "unix:///ABSOLUTE/PATH" as parts of a URI, in which some characters mean something else.
  if (!absl::ConsumePrefix(&path, "unix:") || path.empty() || path.find_first_of("%?#") != absl::string_view::npos) {
    return InvalidField(field, got, "unix:PATH, with a path without %, ? and #");
  }
  absl::ConsumePrefix(&path, "//");
  constexpr size_t kMaxPath = sizeof(sockaddr_un::sun_path) - sizeof(kSuffix);
  if (path.size() > kMaxPath) {
    return InvalidField(field, got, absl::StrCat("a path of at most ", kMaxPath, " bytes"));
  }
  return absl::StrCat(path, kSuffix);
}

absl::StatusOr<FileDescriptor> ListenAt(const std::string& path) {
  FileDescriptor listener = NewSocket(SOCK_NONBLOCK);
  if (!listener) return Unavailable("no socket", errno);
  struct stat existing;
  if (lstat(path.c_str(), &existing) == 0 && S_ISSOCK(existing.st_mode)) unlink(path.c_str());
  const sockaddr_un address = AddressOf(path);
  if (bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0 ||
      listen(listener.get(), kBacklog) != 0) {
    return Unavailable(absl::StrCat("cannot listen on ", path), errno);
  }
  return listener;
}

absl::StatusOr<FileDescriptor> ConnectTo(const std::string& path) {
  FileDescriptor connection = NewSocket(SOCK_NONBLOCK);
  if (!connection) return Unavailable("no socket", errno);
  const sockaddr_un address = AddressOf(path);
  if (connect(connection.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    return Unavailable(absl::StrCat("cannot connect to ", path), errno);
  }
  return connection;
}

absl::Status SendPacket(int socket, const google::protobuf::MessageLite& message, int attachment) {
  std::string bytes = message.SerializeAsString();
  iovec part = {bytes.data(), bytes.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr packet = {};
  packet.msg_iov = &part;
  packet.msg_iovlen = 1;
  if (attachment >= 0) {
    packet.msg_control = control;
    packet.msg_controllen = sizeof(control);
    cmsghdr* header = CMSG_FIRSTHDR(&packet);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(header), &attachment, sizeof(int));
  }
  ssize_t sent;
  do {
    sent = sendmsg(socket, &packet, MSG_NOSIGNAL | MSG_DONTWAIT);
  } while (sent < 0 && errno == EINTR);
  return sent < 0 ? Unavailable("cannot send", errno) : absl::OkStatus();
}

absl::StatusOr<Packet> ReceivePacket(int socket) {
  char bytes[kMaxPacketBytes];
  iovec part = {bytes, sizeof(bytes)};
  alignas(cmsghdr) char control[CMSG_SPACE(kMaxAttachments * sizeof(int))];
  msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  ssize_t received;
  do {
    received = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
  } while (received < 0 && errno == EINTR);
  if (received < 0) return Unavailable("cannot receive", errno);

  Packet packet;
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    const size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; ++i) {
      int number;
      std::memcpy(&number, CMSG_DATA(header) + i * sizeof(int), sizeof(int));
      packet.attachments.emplace_back(number);
    }
  }
  if (received == 0) return absl::UnavailableError("the connection is closed");
  packet.bytes.assign(bytes, static_cast<size_t>(received));
  packet.whole = (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) == 0;
  return packet;
}

}  // namespace spikeserve::shared_memory

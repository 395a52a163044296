// The sockets on which clients hand memory over (proto/spikeserve/v1/shared_memory.proto): what both sides use of them.

#ifndef SPIKESERVE_SERVER_SHARED_MEMORY_HANDOVER_SOCKET_H_
#define SPIKESERVE_SERVER_SHARED_MEMORY_HANDOVER_SOCKET_H_

#include <sys/un.h>

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "google/protobuf/message_lite.h"
#include "shared_memory/file_descriptor.h"

namespace spikeserve::shared_memory {

// The address of a Unix socket; needs a path that fits, such as HandoverPath gives.
sockaddr_un AddressOf(const std::string& path);

// The path of the socket that belongs to the gRPC address `address`, which `field` names in errors. INVALID_ARGUMENT
// for an address that is not "unix:PATH", or whose path is too long.
absl::StatusOr<std::string> HandoverPath(std::string_view address, std::string_view field);

// A listener at `path`. A socket that a server left behind goes, as gRPC does it for its own. UNAVAILABLE where nothing
// can listen there.
absl::StatusOr<FileDescriptor> ListenAt(const std::string& path);

// A connection to the listener at `path`, whose reads and writes do not block. UNAVAILABLE where nobody listens.
absl::StatusOr<FileDescriptor> ConnectTo(const std::string& path);

// Sends one message, with the descriptor `attachment` unless it is negative. UNAVAILABLE where the other side is gone,
// or does not read what it is sent; never blocks.
absl::Status SendPacket(int socket, const google::protobuf::MessageLite& message, int attachment = -1);

struct Packet {
  std::string bytes;
  // The descriptors that came with it.
  std::vector<FileDescriptor> attachments;
  // Whether it came whole: it was not too long, and no descriptor was lost on the way.
  bool whole = true;
};

// Waits for the next packet, where the socket blocks. UNAVAILABLE where there is none (yet), and at the end.
absl::StatusOr<Packet> ReceivePacket(int socket);

}  // namespace spikeserve::shared_memory

#endif  // SPIKESERVE_SERVER_SHARED_MEMORY_HANDOVER_SOCKET_H_

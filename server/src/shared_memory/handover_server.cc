#include "shared_memory/handover_server.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <system_error>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "runtime/guarded.h"
#include "shared_memory/handover_socket.h"
#include "spikeserve/compute/field_error.h"
#include "spikeserve/v1/shared_memory.pb.h"

namespace spikeserve::shared_memory {
namespace {

// How long the destructor waits for threads: one may be held up by a close that a client made slow.
constexpr std::chrono::seconds kPatience(1);
// The pause after a connection that could not be accepted, for want of descriptors or memory.
constexpr int kPauseMs = 100;

v1::SharedMemoryResponse ToResponse(const absl::StatusOr<std::string>& handle) {
  v1::SharedMemoryResponse response;
  response.set_code(static_cast<int>(handle.status().code()));
  if (handle.ok()) {
    response.set_handle(*handle);
  } else {
    response.set_message(std::string(handle.status().message()));
  }
  return response;
}

absl::StatusOr<std::string> Share(const Packet& packet, RegionStore::Session& session) {
  if (packet.attachments.size() != 1) {
    return InvalidField("share", absl::StrCat(packet.attachments.size(), " descriptors"), "one with the packet");
  }
  return session.Add(packet.attachments[0]);
}

// Serves one connection until it is closed.
void Serve(int socket, RegionStore::Session& session) {
  for (;;) {
    absl::StatusOr<Packet> packet = ReceivePacket(socket);
    if (!packet.ok()) return;
    v1::SharedMemoryRequest request;
    absl::StatusOr<std::string> handle;
    if (!packet->whole) {
      handle = InvalidField("packet", "too long, or its descriptors got lost",
                            "at most 4096 bytes, and a server with descriptors to spare");
    } else if (!request.ParseFromString(packet->bytes) ||
               request.action_case() == v1::SharedMemoryRequest::ACTION_NOT_SET) {
      handle = InvalidField("packet", absl::StrCat(packet->bytes.size(), " bytes that are no request"),
                            "a spikeserve.v1.SharedMemoryRequest with share or drop");
    } else if (request.has_drop()) {
      session.Drop(request.drop().handle());
      continue;
    } else {
      handle = Share(*packet, session);
    }
    packet->attachments.clear();  // What is mapped needs no descriptor, and what was refused is not kept.
    // A client that does not read its answers is not waited for.
    if (!SendPacket(socket, ToResponse(handle)).ok()) return;
  }
}

uid_t UserOf(int socket) {
  ucred peer = {};
  socklen_t size = sizeof(peer);
  getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size);
  return peer.uid;
}

}  // namespace

// The connections and their threads, which may outlive the server for a moment.
class HandoverServer::Connections : public std::enable_shared_from_this<Connections> {
 public:
  Connections(std::shared_ptr<RegionStore> store, const ConnectionLimits& limits)
      : store_(std::move(store)), limits_(limits) {}

  // Serves `connection` in a thread of its own.
  void Start(FileDescriptor connection) {
    const uid_t uid = UserOf(connection.get());
    const absl::StatusOr<int64_t> id = Admit(connection.get(), uid);
    if (!id.ok()) {
      SendPacket(connection.get(), ToResponse(id.status())).IgnoreError();
      return;
    }
    try {
      std::thread([self = shared_from_this(), id = *id, uid, connection = std::move(connection)]() mutable {
        // Where there is no memory left for a region, the connection ends and not the server.
        server::Guarded([&] {
          RegionStore::Session session(*self->store_, uid);
          Serve(connection.get(), session);
          return absl::OkStatus();
        }).IgnoreError();
        self->Forget(id);
        connection = FileDescriptor();
        self->Leave(id, uid);
      }).detach();
    } catch (const std::system_error&) {  // No thread: the connection was closed on the way here.
      Leave(*id, uid);
    }
  }

  // Ends all of them and waits for their threads, but not for ever.
  void Stop() {
    std::unique_lock lock(mutex_);
    for (const auto& [id, socket] : sockets_) shutdown(socket, SHUT_RDWR);
    all_left_.wait_for(lock, kPatience, [this] { return sockets_.empty(); });
  }

 private:
  absl::StatusOr<int64_t> Admit(int socket, uid_t uid) {
    const std::lock_guard lock(mutex_);
    const auto refused = [](int count, absl::string_view of) {
      return FieldError(absl::StatusCode::kResourceExhausted, "connection",
                        absl::StrCat(count, " are open", std::string(of)), "fewer");
    };
    if (static_cast<int>(sockets_.size()) >= limits_.total) return refused(limits_.total, "");
    if (of_user_[uid] >= limits_.per_user) return refused(limits_.per_user, " of one user");
    ++of_user_[uid];
    sockets_[next_id_] = socket;
    return next_id_++;
  }

  // Before the socket is closed: its number is then another's.
  void Forget(int64_t id) {
    const std::lock_guard lock(mutex_);
    sockets_[id] = -1;
  }

  void Leave(int64_t id, uid_t uid) {
    const std::lock_guard lock(mutex_);
    sockets_.erase(id);
    if (--of_user_[uid] == 0) of_user_.erase(uid);
    if (sockets_.empty()) all_left_.notify_all();
  }

  const std::shared_ptr<RegionStore> store_;
  const ConnectionLimits limits_;
  std::mutex mutex_;  // Guards the members below it.
  int64_t next_id_ = 0;
  absl::flat_hash_map<int64_t, int> sockets_;
  absl::flat_hash_map<uid_t, int> of_user_;
  std::condition_variable all_left_;
};

HandoverServer::HandoverServer(std::shared_ptr<Connections> connections) : connections_(std::move(connections)) {}

absl::StatusOr<std::unique_ptr<HandoverServer>> HandoverServer::Start(const std::vector<std::string>& paths,
                                                                      std::shared_ptr<RegionStore> store,
                                                                      const ConnectionLimits& limits) {
  std::unique_ptr<HandoverServer> self(new HandoverServer(std::make_shared<Connections>(std::move(store), limits)));
  self->stop_ = FileDescriptor(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!self->stop_) return absl::UnavailableError("the system gave no eventfd");
  for (const std::string& path : paths) {
    absl::StatusOr<FileDescriptor> socket = ListenAt(path);
    if (!socket.ok()) return std::move(socket).status();
    Listener& listener = self->listeners_.emplace_back();
    listener.path = path;
    listener.socket = *std::move(socket);
    lstat(path.c_str(), &listener.file);
  }
  self->acceptor_ = std::thread([server = self.get()] { server->AcceptUntilStopped(); });
  return self;
}

HandoverServer::~HandoverServer() {
  StopListening();
  connections_->Stop();
}

void HandoverServer::StopListening() {
  if (acceptor_.joinable()) {
    eventfd_write(stop_.get(), 1);
    acceptor_.join();
  }
  for (const Listener& listener : listeners_) {
    // Another server may have taken the path over.
    struct stat file;
    if (lstat(listener.path.c_str(), &file) == 0 && file.st_dev == listener.file.st_dev &&
        file.st_ino == listener.file.st_ino) {
      unlink(listener.path.c_str());
    }
  }
  listeners_.clear();
}

void HandoverServer::AcceptUntilStopped() {
  std::vector<pollfd> waited = {{stop_.get(), POLLIN, 0}};
  for (const Listener& listener : listeners_) waited.push_back({listener.socket.get(), POLLIN, 0});
  for (;;) {
    if (poll(waited.data(), waited.size(), -1) < 0) continue;
    if (waited[0].revents != 0) return;
    for (size_t i = 0; i < listeners_.size(); ++i) {
      if (waited[i + 1].revents != 0) Accept(listeners_[i]);
    }
  }
}

void HandoverServer::Accept(const Listener& listener) {
  FileDescriptor connection(accept4(listener.socket.get(), nullptr, nullptr, SOCK_CLOEXEC));
  if (connection) return connections_->Start(std::move(connection));
  if (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED) return;
  pollfd stop = {stop_.get(), POLLIN, 0};
  poll(&stop, 1, kPauseMs);
}

}  // namespace spikeserve::shared_memory

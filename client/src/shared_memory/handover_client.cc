#include "shared_memory/handover_client.h"

#include <poll.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "shared_memory/handover_socket.h"
#include "spikeserve/v1/shared_memory.pb.h"
#include "status_macros.h"

namespace spikeserve {
namespace {

// A server that works answers within milliseconds. One that does not is left alone for a while.
constexpr absl::Duration kPatience = absl::Seconds(2);
constexpr absl::Duration kSilence = absl::Seconds(10);

bool WaitUntilReadable(int socket, absl::Time deadline) {
  for (;;) {
    pollfd waited = {socket, POLLIN, 0};
    // Rounded up: a wait must not end just before the deadline.
    const int64_t left = absl::ToInt64Milliseconds(deadline - absl::Now() + absl::Microseconds(999));
    const int ready = poll(&waited, 1, static_cast<int>(std::clamp<int64_t>(left, 0, 60'000)));
    if (ready > 0) return true;
    if (left <= 0) return false;
  }
}

bool IsHungUp(int socket) {
  pollfd asked = {socket, POLLRDHUP, 0};
  return poll(&asked, 1, /*timeout=*/0) > 0;
}

}  // namespace

absl::StatusOr<HandoverClient::Handle> HandoverClient::HandleOf(const ArenaRegion& region, absl::Time deadline) {
  const uint64_t id = region.id();
  const absl::Time patience = absl::Now() + kPatience;
  const absl::Time until = std::min(deadline, patience);
  std::unique_lock lock(mutex_);
  // The handles of a server that is gone. A server does not say that it knows no memory that is meant for results.
  if (socket_ != nullptr && IsHungUp(socket_->get())) DisconnectLocked();
  for (;;) {
    if (std::optional<Handle> known = FindLocked(id)) return *std::move(known);
    if (!nobody_waits_.wait_until(lock, absl::ToChronoTime(until), [this] { return !waiting_; })) {
      return absl::DeadlineExceededError("the server did not take the memory in time");
    }
    if (std::optional<Handle> known = FindLocked(id)) return *std::move(known);
    if (std::find(unanswered_.begin(), unanswered_.end(), id) == unanswered_.end()) {
      SPIKESERVE_RETURN_IF_ERROR(ShareLocked(region));
    }
    const uint64_t connection = connection_;
    const bool answered = WaitLocked(lock, until);
    if (connection != connection_ || socket_ == nullptr) continue;  // Somebody else found the server gone.
    if (!answered) {
      if (absl::Now() >= patience) {
        silent_until_ = absl::Now() + kSilence;
        DisconnectLocked();
      }
      return absl::DeadlineExceededError("the server did not take the memory in time");
    }
    SPIKESERVE_RETURN_IF_ERROR(ReadAnswerLocked(id));
  }
}

std::optional<HandoverClient::Handle> HandoverClient::FindLocked(uint64_t region) const {
  const auto it = handles_.find(region);
  if (it == handles_.end()) return std::nullopt;
  return Handle{it->second, connection_};
}

absl::Status HandoverClient::ShareLocked(const ArenaRegion& region) {
  if (absl::Now() < silent_until_) return absl::UnavailableError("the server did not answer lately");
  v1::SharedMemoryRequest request;
  request.mutable_share();
  // A connection that is there may be one to a server that is gone: then another is made.
  if (socket_ == nullptr || !shared_memory::SendPacket(socket_->get(), request, region.descriptor()).ok()) {
    DisconnectLocked();
    SPIKESERVE_ASSIGN_OR_RETURN(shared_memory::FileDescriptor socket, shared_memory::ConnectTo(path_));
    SPIKESERVE_RETURN_IF_ERROR(shared_memory::SendPacket(socket.get(), request, region.descriptor()));
    socket_ = std::make_shared<const shared_memory::FileDescriptor>(std::move(socket));
  }
  unanswered_.push_back(region.id());
  return absl::OkStatus();
}

bool HandoverClient::WaitLocked(std::unique_lock<std::mutex>& lock, absl::Time deadline) {
  const std::shared_ptr<const shared_memory::FileDescriptor> socket = socket_;
  waiting_ = true;
  lock.unlock();
  const bool readable = WaitUntilReadable(socket->get(), deadline);
  lock.lock();
  waiting_ = false;
  nobody_waits_.notify_all();
  return readable;
}

absl::Status HandoverClient::ReadAnswerLocked(uint64_t region) {
  const absl::StatusOr<shared_memory::Packet> packet = shared_memory::ReceivePacket(socket_->get());
  v1::SharedMemoryResponse response;
  if (!packet.ok() || !packet->whole || !response.ParseFromString(packet->bytes) || unanswered_.empty()) {
    DisconnectLocked();
    return absl::UnavailableError("the server closed the connection, or sent what is no answer");
  }
  const std::optional<uint64_t> answered = unanswered_.front();
  unanswered_.pop_front();
  if (response.code() != 0) {
    if (answered != region) return absl::OkStatus();
    return {static_cast<absl::StatusCode>(response.code()), response.message()};
  }
  took_memory_ = true;
  if (answered) {
    handles_[*answered] = response.handle();
  } else {
    SendDropLocked(response.handle());
  }
  return absl::OkStatus();
}

void HandoverClient::Drop(uint64_t region) {
  const std::lock_guard lock(mutex_);
  std::replace(unanswered_.begin(), unanswered_.end(), std::optional<uint64_t>(region), std::optional<uint64_t>());
  const auto it = handles_.find(region);
  if (it == handles_.end()) return;
  const std::string handle = std::move(it->second);
  handles_.erase(it);
  SendDropLocked(handle);
}

void HandoverClient::SendDropLocked(const std::string& handle) {
  v1::SharedMemoryRequest request;
  request.mutable_drop()->set_handle(handle);
  // Without a connection there is nothing to be dropped.
  if (!shared_memory::SendPacket(socket_->get(), request).ok()) DisconnectLocked();
}

void HandoverClient::Disconnect(uint64_t connection) {
  const std::lock_guard lock(mutex_);
  if (connection == connection_) DisconnectLocked();
}

void HandoverClient::DisconnectLocked() {
  socket_.reset();
  ++connection_;
  took_memory_ = false;
  handles_.clear();
  unanswered_.clear();
}

bool HandoverClient::in_use() const {
  const std::lock_guard lock(mutex_);
  return took_memory_;
}

}  // namespace spikeserve

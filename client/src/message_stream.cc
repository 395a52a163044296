#include "message_stream.h"

#include <utility>

namespace spikeserve {

absl::Status MessageStream::Send(codec::Envelope message) {
  {
    std::unique_lock lock(mutex_);
    Wait(lock, [this] { return sendable_ || send_failed_; });
    if (ended_ && !ended_->ok()) return *ended_;
    if (ended_ || send_failed_) return absl::AbortedError("the stream has ended; to receive tells why");
    sendable_ = false;
  }
  StartSend(std::move(message));
  return absl::OkStatus();
}

void MessageStream::CloseSend() {
  {
    const std::lock_guard lock(mutex_);
    closing_ = true;
    if (!sendable_) {
      changed_.notify_all();
      return;
    }
    closing_ = sendable_ = false;
  }
  StartCloseSend();
}

absl::StatusOr<std::optional<codec::Envelope>> MessageStream::Receive() {
  std::unique_lock lock(mutex_);
  const auto may_close = [this] { return closing_ && sendable_; };
  while (true) {
    Wait(lock, [&] { return received_.has_value() || may_close(); });
    if (received_ || ended_ || !may_close()) break;
    closing_ = sendable_ = false;
    lock.unlock();
    StartCloseSend();
    lock.lock();
  }
  if (received_) {
    std::optional<codec::Envelope> response = std::exchange(received_, std::nullopt);
    lock.unlock();
    StartReceive();
    return response;
  }
  if (!ended_->ok()) return *ended_;
  return std::nullopt;
}

void MessageStream::OnSendable(bool ok) {
  const std::lock_guard lock(mutex_);
  sendable_ = ok;
  send_failed_ = !ok;
  changed_.notify_all();
}

void MessageStream::OnReceived(codec::Envelope response) {
  const std::lock_guard lock(mutex_);
  received_ = std::move(response);
  changed_.notify_all();
}

void MessageStream::OnEnded(absl::Status status) {
  const std::lock_guard lock(mutex_);
  if (!ended_) ended_ = std::move(status);
  changed_.notify_all();
}

std::optional<codec::Envelope> MessageStream::TakeReceived() {
  const std::lock_guard lock(mutex_);
  return std::exchange(received_, std::nullopt);
}

void MessageStream::Wait(std::unique_lock<std::mutex>& lock, absl::FunctionRef<bool()> ready) {
  const auto done = [&] { return ready() || ended_.has_value(); };
  if (deadline_ == absl::InfiniteFuture()) return changed_.wait(lock, done);
  if (changed_.wait_until(lock, absl::ToChronoTime(deadline_), done)) return;
  ended_ = absl::DeadlineExceededError("the call's deadline passed");
  lock.unlock();
  Cancel();
  lock.lock();
}

}  // namespace spikeserve

#include "runtime/stream.h"

#include <utility>

namespace spikeserve::server {

Stream::Stream(const StreamMethod& method, StreamTransport& transport, Submit submit, Compute compute)
    : method_(method),
      transport_(transport),
      submit_(std::move(submit)),
      compute_(std::move(compute)),
      handler_(method.make_handler()) {}

void Stream::Start() {
  const std::lock_guard<std::mutex> lock(mutex_);
  Pump();
}

void Stream::OnRead(std::optional<Message> message) {
  const std::lock_guard<std::mutex> lock(mutex_);
  reading_ = false;
  if (message) {
    inbox_.push_back(*std::move(message));
  } else {
    input_done_ = true;
  }
  Pump();
}

void Stream::OnWritten(bool ok) {
  const std::lock_guard<std::mutex> lock(mutex_);
  writing_ = false;
  outbox_.pop_front();
  if (!ok && !result_) result_ = absl::CancelledError("the client is gone");
  Pump();
}

void Stream::OnCancelled() {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!result_) result_ = absl::CancelledError("the caller cancelled the call");
  Pump();
}

// Starts whatever can be started. The lock is held.
void Stream::Pump() {
  if (finished_) return;
  if (result_) {
    // Responses that were made are written, unless something failed. Nothing may be under way when it ends.
    if (!result_->ok() && !writing_) outbox_.clear();
    if (!working_ && !writing_ && outbox_.empty()) {
      finished_ = true;
      transport_.Finish(*result_);
      return;
    }
  } else if (!reading_ && !input_done_ && inbox_.size() < kAhead) {
    reading_ = true;
    transport_.Read();
  }
  if (!writing_ && !outbox_.empty()) {
    writing_ = true;
    // The place in the outbox stays taken until it is written.
    transport_.Write(std::move(outbox_.front()));
  }
  // Work follows while there is some, and room for what it may give.
  const bool more = draining_ || !inbox_.empty() || (input_done_ && !closed_);
  if (!working_ && !result_ && more && outbox_.size() < kAhead) {
    working_ = true;
    submit_([self = shared_from_this()] { self->Work(); });
  }
}

void Stream::Work() {
  const absl::Status status = Step();
  const std::lock_guard<std::mutex> lock(mutex_);
  working_ = false;
  if (!result_ && !status.ok()) result_ = status;
  if (!result_ && closed_ && !draining_) result_ = absl::OkStatus();
  Pump();
}

absl::Status Stream::Step() {
  bool respond;
  std::optional<Message> message;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    respond = draining_;
    if (!respond) {
      draining_ = true;  // Whatever the handler takes next, it may have a response to it.
      if (inbox_.empty()) {
        closed_ = true;
      } else {
        message = std::move(inbox_.front());
        inbox_.pop_front();
        Pump();  // There is room for another one, which arrives while this one is computed.
      }
    }
  }
  if (respond) return Respond();
  return compute_([&](Context& context) -> absl::Status {
    if (!message) return handler_->Close(context);
    const absl::StatusOr<codec::Envelope> envelope = (*message)(*method_.request_prototype);
    if (!envelope.ok()) return envelope.status();
    *message = nullptr;  // The bytes it was read from go first.
    return handler_->Take(*envelope, context);
  });
}

absl::Status Stream::Respond() {
  std::optional<codec::Envelope> response;
  const absl::Status status = compute_([&](Context& context) -> absl::Status {
    absl::StatusOr<std::optional<codec::Envelope>> next = handler_->Next(context);
    if (!next.ok()) return std::move(next).status();
    response = *std::move(next);
    return absl::OkStatus();
  });
  const std::lock_guard<std::mutex> lock(mutex_);
  draining_ = response.has_value();
  if (response) outbox_.push_back(*std::move(response));
  return status;
}

}  // namespace spikeserve::server

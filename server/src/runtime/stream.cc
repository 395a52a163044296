#include "runtime/stream.h"

#include <utility>

#include "runtime/at_once.h"
#include "runtime/guarded.h"
#include "status_macros.h"

namespace spikeserve::server {

Stream::Stream(const StreamMethod& method, StreamTransport& transport, std::unique_ptr<StreamHost> host)
    : method_(method), transport_(transport), host_(std::move(host)), handler_(method.make_handler()) {}

void Stream::Start() {
  Update([] {});
}

void Stream::OnRead(std::optional<Message> message) {
  bool at_once = false;
  bool work;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    reading_ = false;
    if (message) {
      at_once = method_.on_network && message->may_compute_at_once && inbox_.empty();
      Keep(*std::move(message));
    } else {
      input_done_ = true;
    }
    work = Pump();
  }
  if (!work) return;
  if (at_once) return Work(/*at_once=*/true);
  host_->Submit([self = shared_from_this()] { self->Work(/*at_once=*/false); });
}

void Stream::Keep(Message message) {
  if (absl::Status held = host_->Hold(message.bytes); !held.ok()) {
    if (!result_) result_ = std::move(held);
    return;
  }
  std::shared_ptr<const void> hold(nullptr, [this, bytes = message.bytes](const void*) { host_->Release(bytes); });
  inbox_.push_back({std::move(message), std::move(hold)});
}

void Stream::OnWritten(bool ok) {
  Update([&] {
    writing_ = false;
    outbox_.pop_front();
    if (ok) return;
    abandoned_ = true;
    if (!result_) result_ = absl::CancelledError("the client is gone");
  });
}

void Stream::OnCancelled() {
  Update([&] {
    abandoned_ = true;
    if (!result_) result_ = absl::CancelledError("the caller cancelled the call");
  });
}

void Stream::End(const absl::Status& status) {
  Update([&] {
    if (!result_) result_ = status;
  });
}

void Stream::EndWhenIdle() {
  if (!method_.on_network) return;
  Update([&] { ends_when_idle_ = true; });
}

void Stream::Update(absl::FunctionRef<void()> change) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    change();
    if (!Pump()) return;
  }
  host_->Submit([self = shared_from_this()] { self->Work(/*at_once=*/false); });
}

bool Stream::Pump() {
  if (finished_) return false;
  if (abandoned_ && !writing_) ClearOutbox();
  // Whose client has sent all ends by itself.
  if (ends_when_idle_ && !result_ && !working_ && inbox_.empty() && !draining_ && !input_done_) {
    result_ = absl::UnavailableError("the server is draining");
    in_order_ = true;
  }
  if (!writing_ && !outbox_.empty()) {
    // The place in the outbox stays taken until it is written.
    Response& next = outbox_.front();
    absl::Status begun = Guarded([&] {
      transport_.Write(std::move(next.envelope));
      return absl::OkStatus();
    });
    writing_ = begun.ok();
    if (writing_) {
      host_->Release(std::exchange(next.bytes, 0));  // From here on the transport counts it.
    } else {
      ClearOutbox();
      result_ = std::move(begun);
      in_order_ = false;
    }
  }
  if (result_) {
    // Nothing may be under way when it ends, and responses that were made are written.
    if (!working_ && !writing_ && outbox_.empty()) {
      finished_ = true;
      host_->Release(kept_bytes_ + message_bytes_);
      host_->OnEnd(*result_, in_order_);
      transport_.Finish(*result_);
      return false;
    }
  } else if (!reading_ && !input_done_ && inbox_.size() < kAhead) {
    reading_ = true;
    transport_.Read();
  }
  // Work follows while there is some, and room for what it may give.
  const bool more = draining_ || !inbox_.empty() || (input_done_ && !closed_);
  if (working_ || result_ || !more || outbox_.size() >= kAhead) return false;
  working_ = true;
  return true;
}

void Stream::ClearOutbox() {
  for (const Response& response : outbox_) host_->Release(response.bytes);
  outbox_.clear();
}

void Stream::Work(bool at_once) {
  bool respond;
  std::optional<Waiting> next;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    respond = draining_;
    if (!respond) {
      draining_ = true;  // Whatever the handler takes next, it may have a response to it.
      if (inbox_.empty()) {
        closed_ = true;
      } else {
        next = std::move(inbox_.front());
        inbox_.pop_front();
        Pump();  // There is room for another one, which arrives while this one is computed.
      }
    }
  }
  if (respond) return EndWork(Respond(at_once));
  if (!next) return Take(/*held=*/nullptr, at_once);
  const absl::Status parsed = host_->Compute(/*held=*/nullptr, at_once, [&](Context&) -> absl::Status {
    SPIKESERVE_ASSIGN_OR_RETURN(message_, next->message.parse(*method_.request_prototype));
    return absl::OkStatus();
  });
  const bool small = next->message.bytes <= int64_t{kTinyRequest};
  next.reset();  // The bytes that it was read from go first.
  if (!parsed.ok()) return EndWork(parsed);
  if (!small) {
    // It may wait for a network, and take much more than its bytes did.
    message_bytes_ = message_->BytesBesideElements();
    host_->Count(message_bytes_);
  }
  if (method_.on_network) return TakeOnStrand(at_once);
  Take(/*held=*/nullptr, at_once);
}

void Stream::TakeOnStrand(bool at_once) {
  const std::string* name = handler_->NetworkOf(*message_);
  if (name == nullptr) return Take(/*held=*/nullptr, at_once);
  absl::StatusOr<std::shared_ptr<HeldNetwork>> held = host_->FindNetwork(*name);
  if (!held.ok()) {
    DropMessage();
    return EndWork(held.status());
  }
  const bool small = handler_->Work(*message_, **held) <= kSmallWork;
  const std::shared_ptr<Strand> strand = (*held)->strand;
  std::function<void()> take = [self = shared_from_this(), held = *std::move(held), small] {
    self->Take(held.get(), /*at_once=*/small);
  };
  // Otherwise this is a thread of the pool already.
  if (at_once && !small) {
    strand->Post(std::move(take));
  } else {
    strand->RunOrPost(std::move(take));
  }
}

void Stream::Take(HeldNetwork* held, bool at_once) {
  absl::Status status = host_->Compute(held, at_once, [&](Context& context) {
    return message_ ? handler_->Take(*message_, held, context) : handler_->Close(context);
  });
  DropMessage();
  if (status.ok()) status = CountKept();
  if (status.ok()) status = Respond(at_once);
  EndWork(status);
}

void Stream::DropMessage() {
  message_.reset();
  host_->Release(std::exchange(message_bytes_, 0));
}

absl::Status Stream::CountKept() {
  const int64_t more = handler_->KeptBytes() - kept_bytes_;
  if (more <= 0) return absl::OkStatus();
  SPIKESERVE_RETURN_IF_ERROR(host_->Keep(more));
  kept_bytes_ += more;
  return absl::OkStatus();
}

absl::Status Stream::Respond(bool at_once) {
  while (true) {
    std::optional<codec::Envelope> response;
    const absl::Status status = host_->Compute(/*held=*/nullptr, at_once, [&](Context& context) -> absl::Status {
      SPIKESERVE_ASSIGN_OR_RETURN(response, handler_->Next(context));
      return absl::OkStatus();
    });
    if (!status.ok()) return status;
    const std::lock_guard<std::mutex> lock(mutex_);
    draining_ = response.has_value();
    if (!draining_) return absl::OkStatus();
    const int64_t bytes = response->ByteSize() - static_cast<int64_t>(response->PooledBytes());
    outbox_.push_back({*std::move(response), bytes});
    host_->Count(bytes);
    Pump();
    if (outbox_.size() >= kAhead || result_) return absl::OkStatus();
  }
}

void Stream::EndWork(const absl::Status& status) {
  Update([&] {
    working_ = false;
    if (!result_ && !status.ok()) result_ = status;
    if (!result_ && closed_ && !draining_) result_ = absl::OkStatus();
  });
}

}  // namespace spikeserve::server

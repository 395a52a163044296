// A stream of messages from bytes to an engine, whose other end reads every response at once.

#ifndef SPIKESERVE_TESTS_FUZZ_FUZZ_STREAM_H_
#define SPIKESERVE_TESTS_FUZZ_FUZZ_STREAM_H_

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "codec/envelope.h"
#include "fuzz/arriving.h"
#include "fuzz/fuzzing.h"
#include "runtime/engine.h"
#include "runtime/stream.h"

namespace spikeserve::testing {

// For one thread.
class FuzzStream final : public server::StreamTransport {
 public:
  FuzzStream(server::Engine& engine, std::string path) : engine_(engine), path_(std::move(path)) {
    server::StreamingCall call;
    call.path = path_;
    call.cancelled = [this] { return cancelled_.load(); };
    auto stream = engine.OpenStream(std::move(call), *this);
    SPIKESERVE_REQUIRE(stream.ok());
    stream_ = *std::move(stream);
    stream_->Start();
  }

  // A stream that has not ended is given up.
  ~FuzzStream() override {
    cancelled_ = true;
    stream_->OnCancelled();
    ReadUntil([this] { return ended_.has_value(); });
  }

  void Send(std::string bytes) {
    if (!ReadyForMessage()) return;
    const size_t size = bytes.size();
    stream_->OnRead(server::Stream::Message{[this, bytes = std::move(bytes)](const Message& prototype) {
                                              return ParsePieces(bytes, prototype, engine_.buffers());
                                            },
                                            /*may_compute_at_once=*/size % 2 == 0,
                                            /*bytes=*/static_cast<int64_t>(size)});
  }

  // Tells that this was all, and reads to the end.
  void Close() {
    if (!ReadyForMessage()) return;
    stream_->OnRead(std::nullopt);
    ReadUntil([this] { return ended_.has_value(); });
  }

  // StreamTransport.
  void Read() override {
    Change([&] { asked_ = true; });
  }
  void Write(codec::Envelope response) override {
    Change([&] { response_ = std::move(response); });
  }
  void Finish(const absl::Status& status) override {
    Change([&] { ended_ = status; });
  }

 private:
  void Change(absl::FunctionRef<void()> change) {
    const std::lock_guard lock(mutex_);
    change();
    changed_.notify_one();
  }

  // False where the stream has ended, so that it takes no more.
  bool ReadyForMessage() {
    ReadUntil([this] { return asked_ || ended_.has_value(); });
    const std::lock_guard lock(mutex_);
    if (ended_) return false;
    asked_ = false;
    return true;
  }

  void ReadUntil(absl::FunctionRef<bool()> done) {
    std::unique_lock lock(mutex_);
    while (true) {
      changed_.wait(lock, [&] { return response_.has_value() || done(); });
      if (!response_) break;
      const codec::Envelope response = *std::exchange(response_, std::nullopt);
      lock.unlock();
      RequireCanBeRead(response);
      stream_->OnWritten(!cancelled_);
      lock.lock();
    }
    if (ended_) RequireTellsTheCaller(*ended_);
  }

  server::Engine& engine_;
  const std::string path_;
  std::atomic<bool> cancelled_ = false;
  std::shared_ptr<server::Stream> stream_;
  std::mutex mutex_;
  std::condition_variable changed_;
  // Below is guarded by mutex_: whether the engine asks for a message, what it answers, and how it ended the stream.
  bool asked_ = false;
  std::optional<codec::Envelope> response_;
  std::optional<absl::Status> ended_;
};

}  // namespace spikeserve::testing

#endif  // SPIKESERVE_TESTS_FUZZ_FUZZ_STREAM_H_

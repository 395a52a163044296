// One answer on its way to its client.

#ifndef SPIKESERVE_SERVER_RPC_SENT_ANSWER_H_
#define SPIKESERVE_SERVER_RPC_SENT_ANSWER_H_

#include <cstdint>

#include "codec/envelope.h"
#include "grpcpp/support/byte_buffer.h"
#include "rpc/answers.h"
#include "rpc/services.h"
#include "runtime/engine.h"

namespace spikeserve::rpc {

// From Begin to End, or until this goes, the answer's bytes are in flight, and it may be given up where its client does
// not take it. Not thread-safe. What `host` refers to must outlive this.
class SentAnswer {
 public:
  explicit SentAnswer(const ServiceHost& host) : engine_(host.engine), answers_(host.answers) {}
  ~SentAnswer() { End(); }
  SentAnswer(const SentAnswer&) = delete;
  SentAnswer& operator=(const SentAnswer&) = delete;

  // gRPC is about to be given `bytes`, which are those of `answer`; none are on their way.
  void Begin(grpc_call* call, const grpc::ByteBuffer& bytes, const codec::Envelope& answer) {
    const auto size = static_cast<int64_t>(bytes.Length());
    sending_ = answers_.Send(call, size);
    // What is in the pool's buffers is counted there.
    counted_bytes_ = size - static_cast<int64_t>(answer.PooledBytes());
    engine_.CountAnswer(counted_bytes_);
  }

  // It is written, or given up.
  void End() {
    engine_.ReleaseAnswer(counted_bytes_);
    answers_.Sent(sending_);
    counted_bytes_ = 0;
    sending_ = {};
  }

 private:
  server::Engine& engine_;
  Answers& answers_;
  int64_t counted_bytes_ = 0;
  Answers::Sending sending_;
};

}  // namespace spikeserve::rpc

#endif  // SPIKESERVE_SERVER_RPC_SENT_ANSWER_H_

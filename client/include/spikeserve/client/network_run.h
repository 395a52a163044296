// A network that runs as its input comes.
//
//   absl::StatusOr<spikeserve::NetworkRun> run = network.Run({.single_step = true});
//   while (...) {
//     auto result = run->Step(next_input);  // [batch, features ...]
//     if (!result.ok()) return result.status();
//     Use(result->output);
//   }
//   absl::Status status = run->Finish();

#ifndef SPIKESERVE_CLIENT_NETWORK_RUN_H_
#define SPIKESERVE_CLIENT_NETWORK_RUN_H_

#include <cstdint>
#include <memory>
#include <optional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "spikeserve/client/networks.h"
#include "spikeserve/compute/tensor.h"

namespace spikeserve {

// An open stream of steps through a network that the server holds. What is sent is carried out and answered in order,
// to the same results as with NetworkHandle::Forward, whose state it shares. An error ends the stream: Receive returns
// it after the results before it, and Send as soon as it is known. Nothing is retried.
//
// Sending waits while the server does not read, and the server reads no more than a few messages ahead of what is
// received: who sends more than two messages before it receives a result must receive in another thread.
//
// Movable; the destructor cancels what is under way. Thread rule: one thread at a time may send and one receive, both
// at once; Cancel may be called at any time; Finish and moves with no other call.
class NetworkRun {
 public:
  struct SendOptions {
    // Return the network to its initial state before the input.
    bool reset = false;
    // The number of this change, as in ForwardArgs. The last number's result comes again, without another change, where
    // that was sent through a NetworkRun: so a new stream may go on where one was lost.
    std::optional<uint64_t> step = std::nullopt;
  };
  // Of a reset without input the output is empty.
  using Result = ForwardArgs::Result;

  NetworkRun(NetworkRun&&) noexcept;
  NetworkRun& operator=(NetworkRun&&) noexcept;
  ~NetworkRun();

  // Sends [T, batch, features ...], with single_step [batch, features ...]. The input may go when it returns.
  absl::Status Send(const TensorView& input, const SendOptions& options);
  absl::Status Send(const TensorView& input) { return Send(input, {}); }
  // Sends a reset without input.
  absl::Status SendReset(std::optional<uint64_t> step = std::nullopt);

  // Waits for the next result: there is one for each Send and SendReset. OUT_OF_RANGE where the stream has ended and
  // all were received.
  absl::StatusOr<Result> Receive();

  // Send and Receive.
  absl::StatusOr<Result> Step(const TensorView& input, const SendOptions& options);
  absl::StatusOr<Result> Step(const TensorView& input) { return Step(input, {}); }

  // Waits until all that was sent is carried out, and ends the stream. Drops results that were not received. Nothing is
  // to be sent or received after it.
  absl::Status Finish();

  // Ends the stream: what was sent may be carried out or not, message by message. Then Receive returns CANCELLED.
  void Cancel();

 private:
  friend class NetworkHandle;
  class Impl;
  explicit NetworkRun(std::unique_ptr<Impl> impl);

  std::unique_ptr<Impl> impl_;
};

}  // namespace spikeserve

#endif  // SPIKESERVE_CLIENT_NETWORK_RUN_H_

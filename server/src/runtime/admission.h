// Which calls the server takes, and which it refuses at once because it has enough to do.
//
// Three things are bounded: the calls that are in progress, the bytes of their messages and tensors, and the time that
// a call waits until it is computed. How long that would be is estimated from what the calls ahead of it have taken
// lately, those of each method by themselves: so a server that is offered more than it can take goes on answering as
// many calls as it can, each as fast as when it was idle but for the wait, and refuses the others before they cost
// anything.

#ifndef SPIKESERVE_SERVER_RUNTIME_ADMISSION_H_
#define SPIKESERVE_SERVER_RUNTIME_ADMISSION_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "memory/buffer_pool.h"
#include "runtime/counters.h"
#include "runtime/limits.h"
#include "runtime/method.h"
#include "runtime/stream_method.h"
#include "runtime/waiting_line.h"

namespace spikeserve::server {

// Thread-safe. Refusals are RESOURCE_EXHAUSTED, name the limit's flag, and tell when to try again (retry_after.h).
class Admission {
 public:
  // What is referred to must outlive this. `threads`: how many calls are computed at the same time.
  // `make_room` is called where bytes in flight have no room, and may see to it that they will have some soon.
  Admission(
      const Limits& limits, int threads, const BufferPool& buffers, Counters& counters,
      std::function<void()> make_room = [] {});

  // Takes a call, until End.
  absl::Status Begin();
  void End();

  // Takes a message of so many bytes, until it goes, beside `own` that its call takes already.
  absl::Status Hold(int64_t bytes, int64_t own = 0);
  void Release(int64_t bytes);
  // Counts bytes that are there already, until they are released.
  void Count(int64_t bytes) { bytes_ += bytes; }
  // Whether there is room for what a call makes. Asked before it is computed: results of other calls may have come
  // since it was taken, whose receivers do not take them.
  // `own`: what the call takes that asks.
  absl::Status CheckRoom(int64_t own = 0);

  // Whether there is room for a call that makes little, and is computed without asking for room: there may be a bit
  // more of these than of others, whose results would keep them from being served.
  bool HasRoomForSmall() const {
    const int64_t limit = limits_.max_bytes_in_flight;
    return bytes_in_flight() - limit / 8 <= limit;
  }

  // Takes a call of the method into the line for the threads, until Leave; `cost` becomes what it is expected to take.
  absl::Status Enter(const Method& method, absl::Duration& cost);
  void Leave(absl::Duration cost);
  // The same for a message of a stream, which is never refused, but makes others wait.
  absl::Duration Join(const StreamMethod& method);
  // The same for the line of a network.
  absl::Status Enter(const Method& method, WaitingLine& line, absl::Duration& cost);
  void Leave(WaitingLine& line, absl::Duration cost);

  // Learns what a call of the method, or a message of a stream, took.
  void Learn(const Method& method, absl::Duration compute) { Learn(&method, compute); }
  void Learn(const StreamMethod& method, absl::Duration compute) { Learn(&method, compute); }

  // Calls that wait for a thread.
  int64_t waiting() const { return line_.calls(); }
  // Bytes of the messages held, of decoded tensors, and of results until their receivers have taken them.
  int64_t bytes_in_flight() const;

 private:
  // Where the messages held take so many bytes.
  int64_t InFlight(int64_t held) const;
  // The same: nothing, or the refusal of one more.
  absl::Status CheckBytes(int64_t held);
  absl::Status CheckAlone(int64_t bytes) const;
  absl::Status Refuse(const std::string& why, absl::Duration delay);
  // `method`: a Method or a StreamMethod.
  void Learn(const void* method, absl::Duration compute);
  absl::Duration ExpectedCost(const void* method) const;

  const Limits& limits_;
  const BufferPool& buffers_;
  Counters& counters_;
  const std::function<void()> make_room_;
  WaitingLine line_;
  std::atomic<int64_t> bytes_{0};
  // Of each method, nanoseconds: a mean over the last calls. The map itself does not change.
  absl::flat_hash_map<const void*, std::unique_ptr<std::atomic<int64_t>>> costs_;
};

}  // namespace spikeserve::server

#endif  // SPIKESERVE_SERVER_RUNTIME_ADMISSION_H_

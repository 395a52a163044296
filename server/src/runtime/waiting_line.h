// Calls that wait for the same thing: for a thread of the pool, or for their network.

#ifndef SPIKESERVE_SERVER_RUNTIME_WAITING_LINE_H_
#define SPIKESERVE_SERVER_RUNTIME_WAITING_LINE_H_

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <optional>

#include "absl/time/time.h"

namespace spikeserve::server {

// A burst may wait for up to a bound. Where it is reached, more comes than can be done, and waiting does not help: from
// then on only as many calls may wait as are computed at a time, so that those that are taken are answered nearly as
// soon as without load. That lasts so long that less than one call of a hundred has had to wait longer, even if the
// overload does not end; or until nobody has waited for the time of the bound. (It must not last for as long as calls
// are refused: callers that call again at once would keep it going though all of them could be served.)
//
// What calls take is only expected, and may be much more, as that of the first long call after many short ones. So
// where calls wait and no turn has come for the time of the bound, nobody else may wait, either, until the next turn.
// (That is no overload: it may be over with one call.)
//
// Thread-safe.
class WaitingLine {
 public:
  // Why a call may not wait.
  struct Refusal {
    // How long it would have to, at least.
    absl::Duration wait;
    // Whether that is not too long, but the line is overloaded.
    bool overloaded;
  };

  // `servers` >= 1: how many of the calls are computed at the same time.
  explicit WaitingLine(int servers) : servers_(servers) {}

  // Adds a call that comes `now` and is expected to take `cost`, and returns nothing; or adds nothing, where it would
  // have to wait for more than `max_wait`, or the line is overloaded. As many calls as there are servers may always
  // wait: else a server that has ended a call would have to wait for the next one.
  std::optional<Refusal> Enter(absl::Duration cost, absl::Duration max_wait, absl::Time now) {
    const int64_t calls_before = Add(cost, now);
    const absl::Duration expected = absl::Nanoseconds(nanoseconds_ - absl::ToInt64Nanoseconds(cost)) / servers_;
    const absl::Duration wait = std::max(expected, now - absl::FromUnixNanos(last_turn_));
    const bool overloaded = Overloaded(calls_before, max_wait, now);
    if (calls_before < servers_ || (!overloaded && wait <= max_wait)) return std::nullopt;
    if (!overloaded && expected > max_wait)
      overloaded_until_ = absl::ToUnixNanos(now + std::min(kOverload * max_wait, kLongestOverload));
    Remove(cost, now);
    return Refusal{wait, overloaded};
  }

  // Adds a call that nobody refuses: others have to wait for it.
  void Join(absl::Duration cost, absl::Time now) { Add(cost, now); }

  // The call's turn has come. `cost` as it was for Enter or Join.
  void Leave(absl::Duration cost, absl::Time now) {
    last_turn_ = absl::ToUnixNanos(now);
    Remove(cost, now);
  }

  int64_t calls() const { return calls_.load(std::memory_order_relaxed); }

 private:
  // Of the bound.
  static constexpr int kOverload = 200;
  static constexpr absl::Duration kLongestOverload = absl::Minutes(1);

  // Returns how many calls were there.
  int64_t Add(absl::Duration cost, absl::Time now) {
    // Before the call counts, so that nobody finds it waiting since the last turn of long ago.
    if (calls_ == 0) last_turn_ = absl::ToUnixNanos(now);
    nanoseconds_.fetch_add(absl::ToInt64Nanoseconds(cost));
    return calls_.fetch_add(1);
  }
  void Remove(absl::Duration cost, absl::Time now) {
    nanoseconds_.fetch_sub(absl::ToInt64Nanoseconds(cost));
    if (calls_.fetch_sub(1) == 1) empty_since_ = absl::ToUnixNanos(now);
  }

  bool Overloaded(int64_t calls_before, absl::Duration max_wait, absl::Time now) {
    if (now >= absl::FromUnixNanos(overloaded_until_)) return false;
    if (calls_before > 0 || now - absl::FromUnixNanos(empty_since_) < max_wait) return true;
    overloaded_until_ = 0;
    return false;
  }

  const int servers_;
  std::atomic<int64_t> calls_{0};
  std::atomic<int64_t> nanoseconds_{0};
  // Times, in nanoseconds: the end of the last overload, when a turn came last or the first call of those that wait,
  // and when the last call left it.
  std::atomic<int64_t> overloaded_until_{0};
  std::atomic<int64_t> last_turn_{0};
  std::atomic<int64_t> empty_since_{0};
};

}  // namespace spikeserve::server

#endif  // SPIKESERVE_SERVER_RUNTIME_WAITING_LINE_H_

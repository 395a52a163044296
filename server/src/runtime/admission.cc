#include "runtime/admission.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "runtime/retry_after.h"
#include "runtime/steady_time.h"
#include "status_macros.h"

namespace spikeserve::server {
namespace {

// When to try again: not so soon that refusing becomes the server's work, not so late that it is idle meanwhile.
constexpr absl::Duration kShortestDelay = absl::Milliseconds(10);
constexpr absl::Duration kLongestDelay = absl::Seconds(5);
// A cost is a mean that forgets: each call counts for an eighth.
constexpr int64_t kMemory = 8;

}  // namespace

Admission::Admission(const Limits& limits, int threads, const BufferPool& buffers, Counters& counters,
                     std::function<void()> make_room)
    : limits_(limits), buffers_(buffers), counters_(counters), make_room_(std::move(make_room)), line_(threads) {
  for (const auto& [path, method] : Methods()) costs_[&method] = std::make_unique<std::atomic<int64_t>>(0);
  for (const auto& [path, method] : StreamMethods()) costs_[&method] = std::make_unique<std::atomic<int64_t>>(0);
}

absl::Status Admission::Begin() {
  if (counters_.calls_in_progress.fetch_add(1) < limits_.max_calls) return absl::OkStatus();
  --counters_.calls_in_progress;
  return Refuse(absl::StrCat("calls: ", limits_.max_calls, " wait or compute already; need fewer than ",
                             limits_.max_calls, " (the server's --max-calls)"),
                kShortestDelay);
}

void Admission::End() { --counters_.calls_in_progress; }

absl::Status Admission::Hold(int64_t bytes, int64_t own) {
  SPIKESERVE_RETURN_IF_ERROR(CheckAlone(own + bytes));
  absl::Status status = CheckBytes(bytes_.fetch_add(bytes) + bytes);
  if (!status.ok()) bytes_ -= bytes;
  return status;
}

absl::Status Admission::CheckRoom(int64_t own) {
  SPIKESERVE_RETURN_IF_ERROR(CheckAlone(own));
  return CheckBytes(bytes_);
}

// There will never be room for more than that, so that it is no use to try again.
absl::Status Admission::CheckAlone(int64_t bytes) const {
  if (bytes <= limits_.max_bytes_in_flight) return absl::OkStatus();
  return absl::ResourceExhaustedError(absl::StrCat("bytes in flight: ", bytes, " of this call alone; need at most ",
                                                   limits_.max_bytes_in_flight,
                                                   " (the server's --max-bytes-in-flight)"));
}

int64_t Admission::bytes_in_flight() const { return InFlight(bytes_); }

int64_t Admission::InFlight(int64_t held) const { return held + buffers_.statistics().bytes_in_use; }

absl::Status Admission::CheckBytes(int64_t held) {
  const int64_t in_flight = InFlight(held);
  if (in_flight <= limits_.max_bytes_in_flight) return absl::OkStatus();
  make_room_();
  return Refuse(absl::StrCat("bytes in flight: ", in_flight, " of all calls with this one; need at most ",
                             limits_.max_bytes_in_flight, " (the server's --max-bytes-in-flight)"),
                kShortestDelay);
}

void Admission::Release(int64_t bytes) { bytes_ -= bytes; }

absl::Status Admission::Enter(const Method& method, absl::Duration& cost) { return Enter(method, line_, cost); }

absl::Status Admission::Enter(const Method& method, WaitingLine& line, absl::Duration& cost) {
  cost = ExpectedCost(&method);
  const std::optional<WaitingLine::Refusal> refusal = line.Enter(cost, limits_.max_queue_delay, SteadyNow());
  if (!refusal) return absl::OkStatus();
  const std::string why =
      refusal->overloaded
          ? absl::StrCat("queue: overloaded, so that calls would have to wait for more than ",
                         absl::FormatDuration(limits_.max_queue_delay), " (the server's --max-queue-delay)")
          : absl::StrCat("queue: a wait of about ", absl::FormatDuration(refusal->wait), "; need at most ",
                         absl::FormatDuration(limits_.max_queue_delay), " (the server's --max-queue-delay)");
  return Refuse(why, refusal->wait - limits_.max_queue_delay);
}

absl::Duration Admission::Join(const StreamMethod& method) {
  const absl::Duration cost = ExpectedCost(&method);
  line_.Join(cost, SteadyNow());
  return cost;
}

void Admission::Leave(absl::Duration cost) { Leave(line_, cost); }

void Admission::Leave(WaitingLine& line, absl::Duration cost) { line.Leave(cost, SteadyNow()); }

void Admission::Learn(const void* method, absl::Duration compute) {
  std::atomic<int64_t>& cost = *costs_.find(method)->second;
  const int64_t before = cost.load(std::memory_order_relaxed);
  const int64_t now = absl::ToInt64Nanoseconds(compute);
  // Of two threads at once, one may be forgotten.
  cost.store(before == 0 ? now : before + (now - before) / kMemory, std::memory_order_relaxed);
}

absl::Status Admission::Refuse(const std::string& why, absl::Duration delay) {
  ++counters_.calls_refused;
  absl::Status status = absl::ResourceExhaustedError(absl::StrCat(why, "; try again later"));
  SetRetryAfter(status, std::clamp(delay, kShortestDelay, kLongestDelay));
  return status;
}

absl::Duration Admission::ExpectedCost(const void* method) const {
  return absl::Nanoseconds(costs_.find(method)->second->load(std::memory_order_relaxed));
}

}  // namespace spikeserve::server

// Writes calls to the log.

#ifndef SPIKESERVE_SERVER_TELEMETRY_CALL_LOG_H_
#define SPIKESERVE_SERVER_TELEMETRY_CALL_LOG_H_

#include <array>

#include "absl/time/time.h"
#include "runtime/call_observer.h"
#include "runtime/call_statistics.h"
#include "telemetry/log.h"
#include "telemetry/throttle.h"

namespace spikeserve::telemetry {

// A line for each call, of a level that tells who has to care:
//   warning  it failed by the server's fault (INTERNAL, UNKNOWN, DATA_LOSS), or was cut off by the server's end
//            (UNAVAILABLE). Or it was refused, because the server had too much to do, or was about to end; or its
//            caller proved not to be anybody (UNAUTHENTICATED): of each of these, one line a second tells how many
//            there were
//   info     it took the server `slow` or longer, without the time that a stream waited for its client. Or it failed
//            otherwise, by its caller's mistake or wish: of each code, one line a second tells how many there were
//   debug    all others
// Thread-safe.
class CallLog final : public server::CallObserver {
 public:
  // `log` must outlive this.
  CallLog(Log& log, absl::Duration slow) : log_(log), slow_(slow) {}

  void OnEnd(const server::CallReport& report) override;

 private:
  // Of many one; the others at debug.
  void WriteOne(Throttle& throttle, LogLevel level, std::string_view message, const server::CallReport& report);
  void Write(LogLevel level, std::string_view message, const server::CallReport& report, int64_t more);

  Log& log_;
  const absl::Duration slow_;
  Throttle refused_, draining_, unauthenticated_;
  // Of each other code.
  std::array<Throttle, server::kStatusCodes> failed_;
};

}  // namespace spikeserve::telemetry

#endif  // SPIKESERVE_SERVER_TELEMETRY_CALL_LOG_H_

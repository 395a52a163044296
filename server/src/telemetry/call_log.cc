#include "telemetry/call_log.h"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/call_statistics.h"
#include "runtime/steady_time.h"
#include "telemetry/servers_fault.h"
#include "telemetry/trace_context.h"

namespace spikeserve::telemetry {
namespace {

using server::CallReport;
using server::CallTimes;

absl::Duration Busy(const CallTimes& times) { return times.queue + times.decode + times.compute + times.encode; }

std::string_view View(absl::string_view text) { return {text.data(), text.size()}; }

}  // namespace

void CallLog::OnEnd(const CallReport& report) {
  const absl::StatusCode code = report.status.code();
  if (IsServersFault(code)) return Write(LogLevel::kWarning, "call failed", report, 0);
  if (report.refused && code == absl::StatusCode::kUnavailable)
    return WriteOne(draining_, LogLevel::kWarning, "call refused", report);
  if (report.refused) return WriteOne(refused_, LogLevel::kWarning, "call refused", report);
  if (code == absl::StatusCode::kUnavailable && !report.in_order) {
    return Write(LogLevel::kWarning, "call cut off", report, 0);
  }
  if (code == absl::StatusCode::kUnauthenticated) {
    return WriteOne(unauthenticated_, LogLevel::kWarning, "call of nobody known", report);
  }
  if (Busy(report.times) >= slow_) return Write(LogLevel::kInfo, "slow call", report, 0);
  if (code != absl::StatusCode::kOk) {
    return WriteOne(failed_[static_cast<size_t>(code)], LogLevel::kInfo, "call failed", report);
  }
  Write(LogLevel::kDebug, "call", report, 0);
}

void CallLog::WriteOne(Throttle& throttle, LogLevel level, std::string_view message, const CallReport& report) {
  if (const std::optional<int64_t> suppressed = throttle.Admit(server::SteadyNow())) {
    return Write(level, message, report, *suppressed);
  }
  Write(LogLevel::kDebug, "call", report, 0);
}

void CallLog::Write(LogLevel level, std::string_view message, const CallReport& report, int64_t more) {
  if (!log_.Shows(level)) return log_.LeaveOut(level);
  const std::string code = absl::StatusCodeToString(report.status.code());
  std::vector<LogField> fields = {{"method", server::MethodName(report.path)}, {"code", std::string_view(code)}};
  if (!report.status.ok()) fields.push_back({"status", View(report.status.message())});
  if (more > 0) fields.push_back({"suppressed", more});
  if (!report.caller.identity.empty()) fields.push_back({"identity", std::string_view(report.caller.identity)});
  if (!report.caller.peer.empty()) fields.push_back({"peer", std::string_view(report.caller.peer)});
  if (const std::optional<TraceContext> trace = ParseTraceparent(report.caller.traceparent)) {
    fields.push_back({"trace_id", trace->trace_id});
    fields.push_back({"span_id", trace->span_id});
  }
  const CallTimes& times = report.times;
  fields.push_back({"queue_ms", absl::ToDoubleMilliseconds(times.queue)});
  fields.push_back({"decode_ms", absl::ToDoubleMilliseconds(times.decode)});
  fields.push_back({"compute_ms", absl::ToDoubleMilliseconds(times.compute)});
  fields.push_back({"encode_ms", absl::ToDoubleMilliseconds(times.encode)});
  fields.push_back({"total_ms", absl::ToDoubleMilliseconds(report.total)});
  fields.push_back({"request_bytes", report.request_bytes});
  log_.Write(level, message, fields);
}

}  // namespace spikeserve::telemetry

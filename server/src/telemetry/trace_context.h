// The W3C trace context of a call: https://www.w3.org/TR/trace-context.

#ifndef SPIKESERVE_SERVER_TELEMETRY_TRACE_CONTEXT_H_
#define SPIKESERVE_SERVER_TELEMETRY_TRACE_CONTEXT_H_

#include <optional>
#include <string_view>

namespace spikeserve::telemetry {

// Both refer to the header that they were read from.
struct TraceContext {
  // 32 lower-case hexadecimal digits, not all 0.
  std::string_view trace_id;
  // The caller's span: 16 of them.
  std::string_view span_id;
};

// Reads a traceparent header, of any version as far as it is known. nullopt where it is malformed.
std::optional<TraceContext> ParseTraceparent(std::string_view header);

}  // namespace spikeserve::telemetry

#endif  // SPIKESERVE_SERVER_TELEMETRY_TRACE_CONTEXT_H_

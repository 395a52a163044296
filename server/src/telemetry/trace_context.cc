#include "telemetry/trace_context.h"

namespace spikeserve::telemetry {
namespace {

// "VERSION-TRACE_ID-PARENT_ID-FLAGS", with 2, 32, 16 and 2 digits.
constexpr size_t kTraceId = 3, kTraceIdSize = 32;
constexpr size_t kSpanId = kTraceId + kTraceIdSize + 1, kSpanIdSize = 16;
constexpr size_t kFlags = kSpanId + kSpanIdSize + 1;
constexpr size_t kSize = kFlags + 2;

bool IsHex(std::string_view text) { return text.find_first_not_of("0123456789abcdef") == std::string_view::npos; }

// An identifier of nothing but zeros is none.
bool IsId(std::string_view text) { return IsHex(text) && text.find_first_not_of('0') != std::string_view::npos; }

}  // namespace

std::optional<TraceContext> ParseTraceparent(std::string_view header) {
  if (header.size() < kSize) return std::nullopt;
  const std::string_view version = header.substr(0, 2);
  if (!IsHex(version) || version == "ff") return std::nullopt;
  // Later versions may go on after the flags.
  if (header.size() > kSize && (version == "00" || header[kSize] != '-')) return std::nullopt;
  for (const size_t dash : {kTraceId - 1, kSpanId - 1, kFlags - 1}) {
    if (header[dash] != '-') return std::nullopt;
  }
  const TraceContext context{header.substr(kTraceId, kTraceIdSize), header.substr(kSpanId, kSpanIdSize)};
  if (!IsId(context.trace_id) || !IsId(context.span_id) || !IsHex(header.substr(kFlags, 2))) return std::nullopt;
  return context;
}

}  // namespace spikeserve::telemetry

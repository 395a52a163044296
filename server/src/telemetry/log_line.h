// Makes the lines of the log.

#ifndef SPIKESERVE_SERVER_TELEMETRY_LOG_LINE_H_
#define SPIKESERVE_SERVER_TELEMETRY_LOG_LINE_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

#include "absl/time/time.h"
#include "absl/types/span.h"

namespace spikeserve::telemetry {

enum class LogLevel { kDebug, kInfo, kWarning, kError, kOff };

enum class LogFormat {
  kJson,  // An object on each line.
  kText,  // TIME LEVEL MESSAGE KEY=VALUE..., for people.
};

// Such as "warning".
std::string_view LogLevelName(LogLevel level);

struct LogField {
  std::string_view key;
  // A string may have any bytes.
  std::variant<std::string_view, int64_t, double> value;
};

// No line is longer, its newline included: a pipe takes so many bytes at once (PIPE_BUF), and does not mix them with
// what others write. Strings are cut so that lines of a few fields keep to it.
inline constexpr size_t kMaxLogLine = 4096;

// A line without its newline. Whatever bytes the fields have, it is one line of valid UTF-8: other bytes become U+FFFD,
// control characters are escaped, and strings are cut.
std::string FormatLogLine(LogFormat format, absl::Time time, LogLevel level, std::string_view message,
                          absl::Span<const LogField> fields);

}  // namespace spikeserve::telemetry

#endif  // SPIKESERVE_SERVER_TELEMETRY_LOG_LINE_H_

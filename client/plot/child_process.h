// Runs another program with all of its input at hand.

#ifndef SPIKESERVE_PLOT_CHILD_PROCESS_H_
#define SPIKESERVE_PLOT_CHILD_PROCESS_H_

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace spikeserve::plot {

struct ChildResult {
  bool succeeded;  // It exited, with 0.
  std::string output;
  std::string errors;  // What it said on stderr.
};

// Runs the program arguments[0], found on PATH, without a shell, feeds it `input` on stdin and waits for its end.
// Errors: NOT_FOUND where there is no such program; others as errno says. Thread-safe.
absl::StatusOr<ChildResult> RunChild(absl::Span<const std::string> arguments, std::string_view input);

}  // namespace spikeserve::plot

#endif  // SPIKESERVE_PLOT_CHILD_PROCESS_H_

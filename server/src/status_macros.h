// Early returns for absl::Status and absl::StatusOr.

#ifndef SPIKESERVE_SERVER_STATUS_MACROS_H_
#define SPIKESERVE_SERVER_STATUS_MACROS_H_

#include <utility>

#include "absl/status/status.h"

#define SPIKESERVE_RETURN_IF_ERROR(expression)                           \
  do {                                                                   \
    if (absl::Status status = (expression); !status.ok()) return status; \
  } while (false)

#define SPIKESERVE_CONCAT_INNER(a, b) a##b
#define SPIKESERVE_CONCAT(a, b) SPIKESERVE_CONCAT_INNER(a, b)

// SPIKESERVE_ASSIGN_OR_RETURN(auto x, F()): x is F()'s value, or the error is returned.
#define SPIKESERVE_ASSIGN_OR_RETURN(declaration, expression) \
  SPIKESERVE_ASSIGN_OR_RETURN_INNER(SPIKESERVE_CONCAT(status_or_, __LINE__), declaration, expression)
#define SPIKESERVE_ASSIGN_OR_RETURN_INNER(status_or, declaration, expression) \
  auto status_or = (expression);                                              \
  if (!status_or.ok()) return std::move(status_or).status();                  \
  declaration = *std::move(status_or)

#endif  // SPIKESERVE_SERVER_STATUS_MACROS_H_

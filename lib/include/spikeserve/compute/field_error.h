// Errors that name the operand at fault.

#ifndef SPIKESERVE_COMPUTE_FIELD_ERROR_H_
#define SPIKESERVE_COMPUTE_FIELD_ERROR_H_

#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace spikeserve {

// INVALID_ARGUMENT with the message "FIELD: GOT; need NEEDED", which also carries the field's name for FieldOf. The
// parameter names of the compute functions are the field names of the requests, so that an error of a compute function
// names the right field to a remote caller.
absl::Status InvalidField(std::string_view field, std::string_view got, std::string_view needed);

// The same with any code.
absl::Status FieldError(absl::StatusCode code, std::string_view field, std::string_view got, std::string_view needed);

// The field that `status` blames, empty where it blames none.
std::string FieldOf(const absl::Status& status);

// Sets the field that `status` blames; its message stays as it is.
void SetField(absl::Status& status, std::string_view field);

// The same error about the member of `path` that has the name of the field: "sigma: 0; need ..." within "kernel"
// becomes "kernel.sigma: 0; need ...". An error that blames no field is about `path` itself.
absl::Status WithinField(std::string_view path, const absl::Status& status);

}  // namespace spikeserve

#endif  // SPIKESERVE_COMPUTE_FIELD_ERROR_H_

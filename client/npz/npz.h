// numpy's .npz format: a zip archive of .npy files, the arrays' names being theirs without the ".npy".
//
// Read are stored and deflated members (np.savez, np.savez_compressed), each checked against its checksum. No more
// memory is taken than the elements that the archive's bytes can expand to, whatever its directory and headers claim.

#ifndef SPIKESERVE_NPZ_NPZ_H_
#define SPIKESERVE_NPZ_NPZ_H_

#include <map>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "spikeserve/compute/tensor.h"

namespace spikeserve::npz {

// All arrays by name. Errors name the file, and the member where one is at fault: those of ReadFile; INVALID_ARGUMENT
// for what is no archive, or a member that is no array (see npy.h).
absl::StatusOr<std::map<std::string, Tensor>> ReadNpz(const std::string& path);

// Writes a deflated archive of one or more arrays with different names. The same arrays in the same order give the same
// bytes, at any time and place.
absl::Status WriteNpz(const std::string& path, absl::Span<const std::pair<std::string, TensorView>> arrays);

// The array that `spec` names: "FILE.npy", "FILE.npz:NAME", or "FILE.npz" where the archive holds just one. Errors are
// those of ReadNpy and ReadNpz; that of a missing name lists the names.
absl::StatusOr<Tensor> ReadArray(const std::string& spec);

}  // namespace spikeserve::npz

#endif  // SPIKESERVE_NPZ_NPZ_H_

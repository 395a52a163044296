// numpy's files: .npy in memory, .npz from a file without a name.

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <string>

#include "absl/strings/str_cat.h"
#include "fuzz/fuzzing.h"
#include "npz/npy.h"
#include "npz/npz.h"

namespace {

void CheckReadAgain(const spikeserve::Tensor& tensor) {
  const std::string bytes = spikeserve::npz::FormatNpy(tensor);
  const auto again = spikeserve::npz::ParseNpy(bytes);
  SPIKESERVE_REQUIRE(again.ok());
  SPIKESERVE_REQUIRE(again->shape() == tensor.shape() && again->dtype() == tensor.dtype());
  SPIKESERVE_REQUIRE(std::memcmp(again->data(), tensor.data(), tensor.byte_size()) == 0);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto array = spikeserve::npz::ParseNpy({reinterpret_cast<const char*>(data), size});
  if (array.ok()) CheckReadAgain(*array);

  static const int file = memfd_create("fuzz", MFD_CLOEXEC);
  SPIKESERVE_REQUIRE(ftruncate(file, 0) == 0);
  SPIKESERVE_REQUIRE(pwrite(file, data, size, 0) == static_cast<ssize_t>(size));
  const auto archive = spikeserve::npz::ReadNpz(absl::StrCat("/proc/self/fd/", file));
  if (!archive.ok()) return 0;
  for (const auto& [name, member] : *archive) CheckReadAgain(member);
  return 0;
}

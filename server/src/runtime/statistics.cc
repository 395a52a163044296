#include "runtime/statistics.h"

#include <unistd.h>

#include <fstream>

namespace spikeserve::server {

int64_t ResidentBytes() {
  // In pages: of the address space, and those in memory.
  std::ifstream statm("/proc/self/statm");
  int64_t size = 0, resident = 0;
  statm >> size >> resident;
  return statm ? resident * sysconf(_SC_PAGESIZE) : 0;
}

}  // namespace spikeserve::server

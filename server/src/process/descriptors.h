// The descriptors that the process may have.

#ifndef SPIKESERVE_SERVER_PROCESS_DESCRIPTORS_H_
#define SPIKESERVE_SERVER_PROCESS_DESCRIPTORS_H_

#include <sys/resource.h>

namespace spikeserve::process {

// Lets the process have as many as its hard limit allows. Many systems start it with 1024, for programs that use
// select(); each connection takes one, and gRPC 1.51 does not recover where there is none left for the next one.
inline void AllowAllDescriptors() {
  rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace spikeserve::process

#endif  // SPIKESERVE_SERVER_PROCESS_DESCRIPTORS_H_

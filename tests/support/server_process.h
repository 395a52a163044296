// The server as a process of its own: the built program.

#ifndef SPIKESERVE_TESTS_SUPPORT_SERVER_PROCESS_H_
#define SPIKESERVE_TESTS_SUPPORT_SERVER_PROCESS_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "support/child_process.h"

namespace spikeserve::testing {

class ServerProcess : public ChildProcess {
 public:
  // With these flags, and these variables ("NAME=VALUE") in its environment.
  explicit ServerProcess(const std::vector<std::string>& flags, const std::vector<std::string>& environment = {})
      : ServerProcess(flags, Options{.environment = environment, .stderr_path = NewStderrPath()}) {}
  // With a descriptor in place of stderr, which the methods below then tell nothing of.
  ServerProcess(const std::vector<std::string>& flags, int stderr_descriptor)
      : ServerProcess(flags, Options{.stderr_descriptor = stderr_descriptor}) {}

  // Waits until it listens on so many addresses, and returns them; fewer where it ended instead.
  std::vector<std::string> WaitForAddresses(size_t count = 1);

  // The first address, waited for once; empty where it ended instead.
  const std::string& address();

  // What it holds.
  int OpenFileDescriptors() const;
  int64_t ResidentBytes() const;

  // All that it wrote to stderr so far.
  std::string Stderr() const;

  // Its log so far, each line as its level and message, such as "info: draining".
  std::vector<std::string> Log() const;

 private:
  ServerProcess(const std::vector<std::string>& flags, const Options& options);
  static std::string NewStderrPath();

  const std::string stderr_path_;
  std::string address_;
};

}  // namespace spikeserve::testing

#endif  // SPIKESERVE_TESTS_SUPPORT_SERVER_PROCESS_H_

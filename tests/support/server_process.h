// The server as a process of its own: the built program.

#ifndef SPIKESERVE_TESTS_SUPPORT_SERVER_PROCESS_H_
#define SPIKESERVE_TESTS_SUPPORT_SERVER_PROCESS_H_

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace spikeserve::testing {

class ServerProcess {
 public:
  // With these flags, and these variables ("NAME=VALUE") in its environment.
  explicit ServerProcess(const std::vector<std::string>& flags, const std::vector<std::string>& environment = {});
  // Kills it where it still runs.
  ~ServerProcess();
  ServerProcess(const ServerProcess&) = delete;
  ServerProcess& operator=(const ServerProcess&) = delete;

  // Waits until it listens on so many addresses, and returns them; fewer where it ended instead.
  std::vector<std::string> WaitForAddresses(size_t count = 1);

  // The first address, waited for once; empty where it ended instead.
  const std::string& address();

  void Signal(int signal) const;
  bool Running();
  // Waits for its end. A signal that ended it counts as the negative of its number.
  int WaitForExit();
  // Signal and WaitForExit.
  int End(int signal);

  // What it holds.
  int OpenFileDescriptors() const;
  int64_t ResidentBytes() const;

  // All that it wrote to stderr so far.
  std::string Stderr() const;
  pid_t pid() const { return pid_; }

 private:
  pid_t pid_ = -1;
  bool ended_ = false;
  int exit_code_ = 0;
  int stdout_ = -1;
  std::string stderr_path_;
  std::string address_;
};

}  // namespace spikeserve::testing

#endif  // SPIKESERVE_TESTS_SUPPORT_SERVER_PROCESS_H_

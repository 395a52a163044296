// Programs that a test runs beside itself.

#ifndef SPIKESERVE_TESTS_SUPPORT_CHILD_PROCESS_H_
#define SPIKESERVE_TESTS_SUPPORT_CHILD_PROCESS_H_

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

namespace spikeserve::testing {

class ChildProcess {
 public:
  struct Options {
    // Variables ("NAME=VALUE") besides those of the test.
    std::vector<std::string> environment = {};
    // The file that takes the place of stderr; empty: the test's.
    std::string stderr_path = {};
    // Takes the place of stderr instead, unless it is negative.
    int stderr_descriptor = -1;
  };

  ChildProcess(const std::string& program, const std::vector<std::string>& arguments, const Options& options);
  ChildProcess(const std::string& program, const std::vector<std::string>& arguments)
      : ChildProcess(program, arguments, Options()) {}
  // Kills it where it still runs.
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  // The next line that it writes to stdout, waited for; nullopt where there is none any more.
  std::optional<std::string> ReadLine();

  void Signal(int signal) const;
  bool Running();
  // Waits for its end, and returns its exit code; the negative of a signal that ended it.
  int WaitForExit();
  // Signal and WaitForExit.
  int End(int signal);

  pid_t pid() const { return pid_; }

 private:
  pid_t pid_ = -1;
  bool ended_ = false;
  int exit_code_ = 0;
  int stdout_ = -1;
};

}  // namespace spikeserve::testing

#endif  // SPIKESERVE_TESTS_SUPPORT_CHILD_PROCESS_H_

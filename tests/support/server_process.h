// The built server, as a process of its own.

#ifndef SPIKESERVE_TESTS_SUPPORT_SERVER_PROCESS_H_
#define SPIKESERVE_TESTS_SUPPORT_SERVER_PROCESS_H_

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "gtest/gtest.h"

namespace spikeserve::testing {

// The program SPIKESERVE on a free port. Killed where the test did not end it.
class ServerProcess {
 public:
  // Waits until it listens, or has ended.
  explicit ServerProcess(std::vector<std::string> flags) {
    flags.insert(flags.begin(), {"spikeserve", "--listen=127.0.0.1:0"});
    std::vector<char*> arguments;
    for (std::string& flag : flags) arguments.push_back(flag.data());
    arguments.push_back(nullptr);
    int ends[2];
    EXPECT_EQ(pipe2(ends, O_CLOEXEC), 0);
    process_ = fork();
    if (process_ == 0) {
      dup2(ends[1], STDOUT_FILENO);
      const int err = open(err_path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
      dup2(err, STDERR_FILENO);
      execv(SPIKESERVE, arguments.data());
      _exit(127);
    }
    close(ends[1]);
    std::string line;
    for (char c; read(ends[0], &c, 1) == 1 && c != '\n';) line += c;
    close(ends[0]);
    address_ = std::string(absl::StripPrefix(line, "spikeserve listening on "));
  }
  ~ServerProcess() {
    if (process_ > 0) End(SIGKILL);
    unlink(err_path_.c_str());
  }

  // Empty where it did not come to listen.
  const std::string& address() const { return address_; }

  // Sends the signal, and returns the exit code; -1 where a signal ended it. 0: only waits.
  int End(int signal) {
    if (signal != 0) kill(process_, signal);
    int status;
    waitpid(std::exchange(process_, -1), &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

  // What it has written to stderr so far.
  std::string err() const {
    std::ostringstream bytes;
    bytes << std::ifstream(err_path_).rdbuf();
    return bytes.str();
  }

 private:
  static std::string NewPath() {
    static int count = 0;
    return absl::StrCat(::testing::TempDir(), "spikeserve-stderr-", getpid(), "-", count++);
  }

  const std::string err_path_ = NewPath();
  pid_t process_ = -1;
  std::string address_;
};

}  // namespace spikeserve::testing

#endif  // SPIKESERVE_TESTS_SUPPORT_SERVER_PROCESS_H_

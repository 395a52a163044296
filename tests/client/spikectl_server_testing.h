// Runs spikectl against a server, which is the built program.

#ifndef SPIKESERVE_TESTS_CLIENT_SPIKECTL_SERVER_TESTING_H_
#define SPIKESERVE_TESTS_CLIENT_SPIKECTL_SERVER_TESTING_H_

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>

#include "absl/strings/strip.h"
#include "client/spikectl_testing.h"

namespace spikeserve::testing {

// With a server of its own.
class SpikectlWithServer : public Spikectl {
 protected:
  explicit SpikectlWithServer(const char* extra_flag = nullptr) : extra_flag_(extra_flag) {}

  void SetUp() override { StartServer(extra_flag_); }
  void TearDown() override { StopServer(); }

  void StartServer(const char* extra_flag) {
    int ends[2];
    ASSERT_EQ(pipe(ends), 0);
    server_process_ = fork();
    ASSERT_GE(server_process_, 0);
    if (server_process_ == 0) {
      dup2(ends[1], STDOUT_FILENO);
      close(ends[0]);
      close(ends[1]);
      execl(SPIKESERVE, "spikeserve", "--listen=127.0.0.1:0", extra_flag, nullptr);
      _exit(127);
    }
    close(ends[1]);
    std::string line;
    for (char c; read(ends[0], &c, 1) == 1 && c != '\n';) line += c;
    close(ends[0]);
    ASSERT_THAT(line, ::testing::StartsWith("spikeserve listening on "));
    server_ = std::string(absl::StripPrefix(line, "spikeserve listening on "));
  }

  void StopServer() {
    if (server_process_ < 0) return;
    kill(server_process_, SIGTERM);
    int status;
    waitpid(server_process_, &status, 0);
    server_process_ = -1;
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  }

 private:
  const char* const extra_flag_;
  pid_t server_process_ = -1;
};

}  // namespace spikeserve::testing

#endif  // SPIKESERVE_TESTS_CLIENT_SPIKECTL_SERVER_TESTING_H_

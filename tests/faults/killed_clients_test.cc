#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <set>
#include <string>
#include <utility>

#include "absl/time/clock.h"
#include "gtest/gtest.h"
#include "spikeserve/client/client.h"
#include "support/server_process.h"

namespace spikeserve {
namespace {

using testing::ServerProcess;

// A process that makes calls of all kinds.
class Victim {
 public:
  explicit Victim(const std::string& address) {
    int ends[2];
    EXPECT_EQ(pipe2(ends, O_CLOEXEC), 0);
    pid_ = fork();
    if (pid_ == 0) {
      dup2(ends[1], STDOUT_FILENO);
      execl(SPIKESERVE_VICTIM, "fault_victim", address.c_str(), nullptr);
      _exit(127);
    }
    close(ends[1]);
    stdout_ = ends[0];
  }
  ~Victim() {
    kill(pid_, SIGKILL);
    int status;
    waitpid(pid_, &status, 0);
    close(stdout_);
    EXPECT_TRUE(WIFSIGNALED(status)) << "it ended by itself: a call failed";
  }

  // Waits until a call of each kind has been answered.
  void WaitUntilBusy() {
    std::set<std::string> said;
    std::string line;
    for (char c; said.size() < 3 && read(stdout_, &c, 1) == 1;) {
      if (c != '\n') {
        line += c;
      } else {
        said.insert(std::exchange(line, {}));
      }
    }
    EXPECT_EQ(said.size(), 3u);
  }

 private:
  pid_t pid_;
  int stdout_;
};

TEST(KilledClients, AreForgottenAndTheirCallsAndStreamsEnd) {
  ServerProcess server({"--listen=127.0.0.1:0"});
  const std::string address = server.WaitForAddresses().at(0);
  const Client client = *Client::Connect(address);
  ASSERT_TRUE(client.ServerStatistics().ok());
  const int descriptors = server.OpenFileDescriptors();
  for (int i = 0; i < 8; ++i) {
    Victim victim(address);
    victim.WaitUntilBusy();
  }
  // Never, if a call or a connection leaks.
  auto statistics = client.ServerStatistics();
  while (statistics.ok() && (statistics->calls_in_progress > 1 || server.OpenFileDescriptors() > descriptors)) {
    absl::SleepFor(absl::Milliseconds(10));
    statistics = client.ServerStatistics();
  }
  EXPECT_TRUE(statistics.ok()) << statistics.status() << server.Stderr();
}

}  // namespace
}  // namespace spikeserve

// Runs spikectl against a server, which is the built program.

#ifndef SPIKESERVE_TESTS_CLIENT_SPIKECTL_SERVER_TESTING_H_
#define SPIKESERVE_TESTS_CLIENT_SPIKECTL_SERVER_TESTING_H_

#include <signal.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "client/spikectl_testing.h"
#include "support/server_process.h"

namespace spikeserve::testing {

// With a server of its own.
class SpikectlWithServer : public Spikectl {
 protected:
  explicit SpikectlWithServer(std::vector<std::string> flags = {}) : flags_(std::move(flags)) {
    flags_.insert(flags_.begin(), "--listen=127.0.0.1:0");
  }

  void SetUp() override { StartServer(); }
  void TearDown() override { StopServer(); }

  void StartServer(const std::vector<std::string>& more_flags = {}) {
    std::vector<std::string> flags = flags_;
    flags.insert(flags.end(), more_flags.begin(), more_flags.end());
    server_process_ = std::make_unique<ServerProcess>(flags);
    const std::vector<std::string> addresses = server_process_->WaitForAddresses();
    ASSERT_EQ(addresses.size(), 1u);
    server_ = addresses[0];
  }

  void StopServer() {
    if (server_process_ == nullptr) return;
    server_process_->Signal(SIGTERM);
    EXPECT_EQ(server_process_->WaitForExit(), 0);
    server_process_.reset();
  }

 private:
  std::vector<std::string> flags_;
  std::unique_ptr<ServerProcess> server_process_;
};

}  // namespace spikeserve::testing

#endif  // SPIKESERVE_TESTS_CLIENT_SPIKECTL_SERVER_TESTING_H_

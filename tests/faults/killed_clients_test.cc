#include <signal.h>

#include <set>
#include <string>

#include "absl/time/clock.h"
#include "gtest/gtest.h"
#include "spikeserve/client/client.h"
#include "support/child_process.h"
#include "support/server_process.h"

namespace spikeserve {
namespace {

using testing::ChildProcess;
using testing::ServerProcess;

TEST(KilledClients, AreForgottenAndTheirCallsAndStreamsEnd) {
  ServerProcess server({"--listen=127.0.0.1:0"});
  const std::string address = server.WaitForAddresses().at(0);
  const Client client = *Client::Connect(address);
  ASSERT_TRUE(client.ServerStatistics().ok());
  const int descriptors = server.OpenFileDescriptors();
  for (int i = 0; i < 8; ++i) {
    ChildProcess victim(SPIKESERVE_VICTIM, {address});
    // A call of each kind has been answered.
    std::set<std::string> said;
    for (auto line = victim.ReadLine(); line; line = victim.ReadLine()) {
      said.insert(*line);
      if (said.size() == 3) break;
    }
    EXPECT_EQ(said.size(), 3u);
    EXPECT_EQ(victim.End(SIGKILL), -SIGKILL) << "it ended by itself: a call failed";
  }
  // Never, if a call or a connection leaks.
  auto statistics = client.ServerStatistics();
  while (statistics.ok() && (statistics->calls_in_progress > 1 || server.OpenFileDescriptors() > descriptors)) {
    absl::SleepFor(absl::Milliseconds(10));
    statistics = client.ServerStatistics();
  }
  EXPECT_TRUE(statistics.ok()) << statistics.status() << server.Stderr();
  EXPECT_TRUE(server.Running()) << server.Stderr();
  EXPECT_EQ(server.End(SIGTERM), 0) << server.Stderr();
}

}  // namespace
}  // namespace spikeserve

#include <signal.h>

#include <string>

#include "absl/time/clock.h"
#include "gtest/gtest.h"
#include "support/raw_http2.h"
#include "support/server_process.h"

namespace spikeserve {
namespace {

using testing::FrameReader;
using testing::RawConnection;
using testing::ServerProcess;

// So many connections, one after the other, with a call on each; every third one is closed while its call is under way.
void Churn(const std::string& address, int connections) {
  const std::string call = testing::Greeting() + testing::CallFrames(testing::kServerStatistics, "", 1);
  for (int i = 0; i < connections; ++i) {
    RawConnection connection(address);
    ASSERT_TRUE(connection.Send(call));
    if (i % 3 == 2) {
      connection.Reset();
    } else {
      ASSERT_TRUE(FrameReader(connection).WaitForEnd(1));
    }
  }
}

TEST(ConnectionChurn, TenThousandConnectionsLeaveNeitherDescriptorsNorMemoryBehind) {
  ServerProcess server({"--listen=127.0.0.1:0"});
  const std::string address = server.WaitForAddresses().at(0);
  ASSERT_NO_FATAL_FAILURE(Churn(address, 1000));  // What is kept for later is there.
  const int64_t bytes = server.ResidentBytes();
  const int descriptors = server.OpenFileDescriptors();
  ASSERT_NO_FATAL_FAILURE(Churn(address, 10'000));
  // Never, if connections leak; those that are being closed take a moment.
  while (server.Running() && server.OpenFileDescriptors() > descriptors) absl::SleepFor(absl::Milliseconds(10));
  const int64_t bytes_after = server.ResidentBytes();
  // One that has ended has neither.
  ASSERT_TRUE(server.Running()) << server.Stderr();
  EXPECT_GT(bytes_after, 0);
  // A kilobyte for each would be twice as much.
  EXPECT_LT(bytes_after - bytes, int64_t{5} << 20) << server.Stderr();
  EXPECT_EQ(server.End(SIGTERM), 0) << server.Stderr();
}

}  // namespace
}  // namespace spikeserve

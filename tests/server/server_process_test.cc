// What the built program does as a process.

#include "support/server_process.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "spikeserve/client/client.h"

namespace spikeserve::testing {
namespace {

// A fuzzer's finding: Protobuf wrote a line for each, so that any client could fill the server's log.
TEST(ServerProcess, ARequestThatIsNoTextLeavesNoLineOnStderr) {
  ServerProcess server({});
  const Client client = *Client::Connect(server.address());
  EXPECT_EQ(client.AttachNetwork("\xff").Get().status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(server.err(), "");
  EXPECT_EQ(server.End(SIGTERM), 0);
}

}  // namespace
}  // namespace spikeserve::testing

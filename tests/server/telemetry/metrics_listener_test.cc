#include "telemetry/metrics_listener.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <memory>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "telemetry/families.h"

namespace spikeserve::telemetry {
namespace {

using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::StartsWith;

class Fixed final : public prometheus::Collectable {
 public:
  std::vector<prometheus::MetricFamily> Collect() const override { return {Gauge("answer", "To all.", 42)}; }
};

absl::StatusOr<std::unique_ptr<MetricsListener>> Start(const std::string& address) {
  auto listener = MetricsListener::Start(address);
  if (listener.ok()) (*listener)->Serve(std::make_shared<Fixed>());
  return listener;
}

// The response to a GET of `path` at "127.0.0.1:PORT".
std::string Get(const std::string& address, const std::string& path) {
  int port = 0;
  EXPECT_TRUE(absl::SimpleAtoi(address.substr(address.rfind(':') + 1), &port));
  sockaddr_in server{};
  server.sin_family = AF_INET;
  server.sin_port = htons(static_cast<uint16_t>(port));
  server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const int connection = socket(AF_INET, SOCK_STREAM, 0);
  EXPECT_EQ(connect(connection, reinterpret_cast<const sockaddr*>(&server), sizeof server), 0);
  const std::string request = absl::StrCat("GET ", path, " HTTP/1.0\r\n\r\n");
  EXPECT_EQ(send(connection, request.data(), request.size(), 0), static_cast<ssize_t>(request.size()));
  std::string response;
  char buffer[4096];
  for (ssize_t n; (n = read(connection, buffer, sizeof buffer)) > 0;) response.append(buffer, n);
  close(connection);
  return response;
}

TEST(MetricsListener, ServesThePageOnAFreePort) {
  const auto listener = Start("127.0.0.1:0");
  ASSERT_TRUE(listener.ok()) << listener.status();
  EXPECT_THAT((*listener)->address(), MatchesRegex("127.0.0.1:[1-9][0-9]*"));
  const std::string response = Get((*listener)->address(), "/metrics");
  EXPECT_THAT(response, StartsWith("HTTP/1.1 200 "));
  EXPECT_THAT(response, HasSubstr("# HELP answer To all.\n# TYPE answer gauge\nanswer 42\n"));
  EXPECT_THAT(Get((*listener)->address(), "/etc/passwd"), MatchesRegex("HTTP/1.[01] 404 .*"));
}

TEST(MetricsListener, HasNoPageUntilThereIsSomethingToServe) {
  const auto listener = MetricsListener::Start("127.0.0.1:0");
  ASSERT_TRUE(listener.ok()) << listener.status();
  EXPECT_THAT(Get((*listener)->address(), "/metrics"), StartsWith("HTTP/1.0 404 "));
}

TEST(MetricsListener, ATakenPortIsRefusedAndNamed) {
  const auto first = Start("127.0.0.1:0");
  ASSERT_TRUE(first.ok()) << first.status();
  const auto second = Start((*first)->address());
  EXPECT_EQ(second.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(second.status().message()),
              HasSubstr(absl::StrCat("--metrics-listen: cannot listen on ", (*first)->address())));
}

TEST(MetricsListener, AnAddressThatIsNoneIsRefused) {
  for (const char* address : {"", "nonsense", ":9464", "127.0.0.1:", "127.0.0.1:99999", "127.0.0.1:-1", "127.0.0.1:80s",
                              "127.0.0.1:0,127.0.0.1:0", "unix:/tmp/socket"}) {
    EXPECT_EQ(MetricsListener::Check(address).code(), absl::StatusCode::kInvalidArgument) << address;
    EXPECT_EQ(Start(address).status().code(), absl::StatusCode::kInvalidArgument) << address;
  }
}

TEST(MetricsListener, APortIsFreeAgainWhenItEnds) {
  auto first = Start("127.0.0.1:0");
  ASSERT_TRUE(first.ok());
  const std::string address = (*first)->address();
  first->reset();
  EXPECT_TRUE(Start(address).ok());
}

}  // namespace
}  // namespace spikeserve::telemetry

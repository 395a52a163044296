// Peers that break the rules, vanish, or do not listen: the server goes on serving others, and gives back what it held
// for them.

#include <signal.h>

#include <deque>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "spikeserve/client/client.h"
#include "spikeserve/v1/networks.pb.h"
#include "support/large_answers.h"
#include "support/raw_http2.h"
#include "support/server_process.h"
#include "support/test_folder.h"

namespace spikeserve {
namespace {

using ::testing::Contains;
using testing::FrameReader;
using ::testing::HasSubstr;
using testing::kRedundantOneHot;
using testing::OneHotRequest;
using testing::RawConnection;
using testing::ServerProcess;

constexpr char kSpikeCluster[] = "/spikeserve.v1.SpikeFunctionService/SpikeCluster";

// gRPC receives in small blocks, beside each of which a sanitizer's allocator keeps memory of its own.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr int64_t kSmallBlockCost = 2;
#else
constexpr int64_t kSmallBlockCost = 1;
#endif

class PeersTest : public ::testing::Test {
 protected:
  void Start(std::vector<std::string> flags = {}, const std::string& listen = "127.0.0.1:0") {
    flags.insert(flags.begin(), "--listen=" + listen);
    // AddressSanitizer, where it is there, gives freed memory back as the ordinary allocator does.
    const std::string as_freed = "ASAN_OPTIONS=quarantine_size_mb=1:allocator_release_to_os_interval_ms=0";
    server_ = std::make_unique<ServerProcess>(flags, std::vector<std::string>{as_freed});
    address_ = server_->WaitForAddresses().at(0);
    ExpectServing();
    descriptors_ = server_->OpenFileDescriptors();
  }

  // It lives to the end, and finds nothing wrong then (as a sanitizer may). The peers are gone.
  void TearDown() override {
    if (server_ == nullptr) return;
    EXPECT_TRUE(server_->Running()) << "it has ended by itself";
    EXPECT_EQ(server_->End(SIGTERM), 0) << server_->Stderr();
  }

  void ExpectServing() {
    const auto statistics = Client::Connect(address_)->ServerStatistics();
    EXPECT_TRUE(statistics.ok()) << statistics.status() << server_->Stderr();
  }

  // Waits until the server has closed the connections of peers that are gone. Never, if it leaks them.
  void WaitUntilForgotten() {
    while (server_->Running() && server_->OpenFileDescriptors() > descriptors_) absl::SleepFor(absl::Milliseconds(10));
    EXPECT_TRUE(server_->Running()) << "it has ended: " << server_->Stderr();
  }

  void WaitUntilIdle() {
    const Client client = *Client::Connect(address_);
    auto statistics = client.ServerStatistics();
    for (; statistics.ok() && statistics->calls_in_progress > 1; statistics = client.ServerStatistics()) {
      absl::SleepFor(absl::Milliseconds(5));
    }
    // There may be no room for so much as this.
    EXPECT_TRUE(statistics.ok() || absl::IsResourceExhausted(statistics.status())) << statistics.status();
  }

  // There is no room for an answer of 40 KB for each label, but room is made: others are served, and the log tells at
  // whose cost.
  void ExpectServingBySacrifice(int64_t count = 1000) {
    const std::vector<uint8_t> labels(static_cast<size_t>(count), 1);
    const auto result =
        Client::Connect(address_, {.retry = {.max_attempts = 1000}})
            ->RedundantOneHot(
                {.labels = TensorView(absl::MakeConstSpan(labels), {count}), .num_classes = 10, .n = 1000});
    EXPECT_TRUE(result.ok()) << result.status();
    EXPECT_THAT(server_->Log(), Contains(HasSubstr("warning: answers given up")));
  }

  // What the server takes for these calls of thirty peers that read nothing of their answers.
  int64_t MemoryOfUnread(const std::string& calls) {
    const int64_t before = server_->ResidentBytes();
    std::deque<RawConnection> peers;
    for (int i = 0; i < 30; ++i) peers.emplace_back(address_).Send(calls);
    WaitUntilIdle();
    ExpectServing();
    const int64_t taken = server_->ResidentBytes() - before;
    peers.clear();
    WaitUntilForgotten();
    return taken;
  }

  const testing::TestFolder folder_;
  std::unique_ptr<ServerProcess> server_;
  std::string address_;
  int descriptors_ = 0;
};

TEST_F(PeersTest, GarbageIsNoReasonToStop) {
  Start();
  std::mt19937 random(1);
  for (int i = 0; i < 300; ++i) {
    RawConnection peer(address_);
    std::string bytes(random() % 3000, '\0');
    for (char& byte : bytes) byte = static_cast<char>(random());
    // Some begin as they should.
    if (i % 3 == 1) bytes.insert(0, testing::Greeting());
    if (i % 3 == 2) bytes.insert(0, testing::Greeting() + testing::CallFrames(testing::kServerStatistics, "", 1));
    peer.Send(bytes);
    if (i % 2 == 0) peer.Reset();
  }
  ExpectServing();
  WaitUntilForgotten();
}

TEST_F(PeersTest, FramesThatAreCutOffAnywhereEndTheirConnectionOnly) {
  Start();
  const std::string whole = testing::Greeting() + testing::CallFrames(kSpikeCluster, std::string(40, 'x'), 1);
  for (size_t size = 0; size < whole.size(); ++size) {
    RawConnection peer(address_);
    peer.Send(std::string_view(whole).substr(0, size));
  }
  ExpectServing();
  WaitUntilForgotten();
}

TEST_F(PeersTest, EachByteOfACallMayBeWrong) {
  Start();
  const std::string whole = testing::Greeting() + testing::CallFrames(kSpikeCluster, std::string(10, '\x0a'), 1);
  for (size_t i = 0; i < whole.size(); ++i) {
    RawConnection peer(address_);
    std::string wrong = whole;
    wrong[i] = static_cast<char>(wrong[i] ^ 0x55);
    peer.Send(wrong);
  }
  ExpectServing();
  WaitUntilForgotten();
}

TEST_F(PeersTest, APortScanLeavesNothingBehind) {
  Start();
  for (int i = 0; i < 1000; ++i) {
    RawConnection peer(address_);
    if (i % 2 == 0) peer.Reset();
  }
  ExpectServing();
  WaitUntilForgotten();
}

TEST_F(PeersTest, APeerThatVanishedWithoutAWordIsForgotten) {
  Start({"--keepalive-time=1", "--keepalive-timeout=1"});
  RawConnection peer(address_);
  FrameReader reader(peer);
  peer.Send(testing::Greeting() + testing::CallFrames(testing::kServerStatistics, "", 1));
  ASSERT_TRUE(reader.WaitForEnd(1));
  // From here on it answers nothing, also not the server's pings.
  while (reader.Next()) {
  }
  WaitUntilForgotten();
}

TEST_F(PeersTest, AConnectionGrowsOldAndIsClosedGently) {
  Start({"--max-connection-age=1"});
  RawConnection peer(address_);
  FrameReader reader(peer);
  peer.Send(testing::Greeting());
  bool told = false;
  while (const auto frame = reader.Next()) told |= frame->type == testing::kGoAwayFrame;
  EXPECT_TRUE(told);
  ExpectServing();
}

TEST_F(PeersTest, NoMoreCallsOfAConnectionThanTheLimitAreOpen) {
  Start({"--max-streams-per-connection=3"});
  RawConnection peer(address_);
  FrameReader reader(peer);
  peer.Send(testing::Greeting());
  // The limit is the setting SETTINGS_MAX_CONCURRENT_STREAMS (3).
  for (auto frame = reader.Next(); frame; frame = reader.Next()) {
    if (frame->type != testing::kSettingsFrame || frame->payload.empty()) continue;
    EXPECT_THAT(frame->payload, ::testing::HasSubstr(std::string("\0\3\0\0\0\3", 6)));
    break;
  }
}

// A kilobyte that makes a result of 40 MB.
std::string LargeAnswer() { return OneHotRequest(1000); }

// Before a request has come whole it is no call, and no limit of ours sees it.
TEST_F(PeersTest, RequestsThatNeverEndTakeNoMoreMemoryThanTheLimit) {
  constexpr int64_t kLimit = 200 << 20;
  constexpr size_t kRequest = 50 << 20;
  Start({"--max-bytes-in-flight=" + std::to_string(kLimit), "--max-idle-buffer-bytes=1"});
  const int64_t before = server_->ResidentBytes();
  std::deque<RawConnection> peers;
  for (int i = 0; i < 16; ++i) {
    peers.emplace_back(address_).Send(testing::Greeting() + testing::CallBegin(kSpikeCluster, kRequest, 1));
    FrameReader(peers.back()).SendZeros(kRequest - 1);
  }
  ExpectServing();
  // All together would be 800 MB.
  EXPECT_LT(server_->ResidentBytes() - before, kSmallBlockCost * (kLimit + (int64_t{100} << 20)));
  peers.clear();
  WaitUntilForgotten();
}

// Calls of peers that take nothing of their answers hold all the bytes in flight that there may be.
TEST_F(PeersTest, ClientsThatDoNotReadKeepNobodyElseFromBeingServed) {
  Start({"--max-bytes-in-flight=100000000", "--untaken-answer-timeout=0.5"});
  std::deque<RawConnection> peers;
  for (int i = 0; i < 4; ++i) {
    peers.emplace_back(address_).Send(testing::Greeting() + testing::CallFrames(kRedundantOneHot, LargeAnswer(), 1));
  }
  WaitUntilIdle();
  ExpectServingBySacrifice();
  // A peer is told, as far as it listens.
  FrameReader reader(peers[0]);
  std::string last;
  for (auto frame = reader.Next(); frame; frame = reader.Next()) {
    if (frame->stream != 1 || frame->type == testing::kDataFrame) continue;
    last = frame->payload;
    if (frame->type == testing::kResetFrame || (frame->flags & testing::kEndStream) != 0) break;
  }
  EXPECT_NE(last, "");
  peers.clear();
  WaitUntilForgotten();
}

TEST_F(PeersTest, SmallAnswersThatNobodyTakesAreGivenUpToo) {
  Start({"--max-bytes-in-flight=10000000", "--untaken-answer-timeout=0.5"});
  std::string calls = testing::Greeting();
  for (uint32_t stream = 1; stream < 200; stream += 2) {
    calls += testing::CallFrames(kRedundantOneHot, OneHotRequest(1), stream);
  }
  std::deque<RawConnection> peers;
  for (int i = 0; i < 4; ++i) {
    peers.emplace_back(address_).Send(calls);
    WaitUntilIdle();
  }
  ExpectServingBySacrifice(100);
  peers.clear();
  WaitUntilForgotten();
}

// To gRPC all peers of a Unix socket have the same name.
TEST_F(PeersTest, WhoDoesNotReadOnAUnixSocketCostsNobodyElseThereAnAnswer) {
  Start({"--max-bytes-in-flight=20000000", "--untaken-answer-timeout=2"}, "unix:" + folder_.Path("socket"));
  // Of 6 MB: there is room for two of them.
  const std::string call = testing::Greeting() + testing::CallFrames(kRedundantOneHot, OneHotRequest(150), 1);
  const auto wait_for_data = [](FrameReader& reader) {
    auto frame = reader.Next();
    while (frame && frame->type != testing::kDataFrame) frame = reader.Next();
    return frame ? frame->payload.size() : 0;
  };
  RawConnection hoarder(address_);
  hoarder.Send(call);
  FrameReader hoarders(hoarder);
  ASSERT_GT(wait_for_data(hoarders), 0u);
  absl::SleepFor(absl::Seconds(3));  // Its time is over.
  RawConnection honest(address_);
  honest.Send(call);
  FrameReader reader(honest);
  size_t bytes = wait_for_data(reader);
  ASSERT_GT(bytes, 0u);
  ExpectServingBySacrifice(250);
  honest.Send(testing::WindowUpdate(0, bytes) + testing::WindowUpdate(1, bytes));
  for (auto frame = reader.Next();; frame = reader.Next()) {
    ASSERT_TRUE(frame.has_value());
    if (frame->stream != 1) continue;
    ASSERT_NE(frame->type, testing::kResetFrame) << "after " << bytes << " bytes";
    if ((frame->flags & testing::kEndStream) != 0) break;
    if (frame->type != testing::kDataFrame || frame->payload.empty()) continue;
    bytes += frame->payload.size();
    honest.Send(testing::WindowUpdate(0, frame->payload.size()) + testing::WindowUpdate(1, frame->payload.size()));
  }
  EXPECT_GT(bytes, 6'000'000u) << server_->Stderr();
}

TEST_F(PeersTest, ClientsThatReadSlowlyGetAllOfTheirAnswers) {
  Start({"--max-bytes-in-flight=100000000", "--untaken-answer-timeout=20"});
  const std::string call = testing::Greeting() + testing::CallFrames(kRedundantOneHot, LargeAnswer(), 1);
  RawConnection slow(address_);
  slow.Send(call);
  FrameReader reader(slow);
  std::deque<RawConnection> others;
  size_t bytes = 0;
  for (auto frame = reader.Next();; frame = reader.Next()) {
    ASSERT_TRUE(frame.has_value());
    if (frame->stream != 1) continue;
    ASSERT_NE(frame->type, testing::kResetFrame);
    if ((frame->flags & testing::kEndStream) != 0) break;
    if (frame->type != testing::kDataFrame || frame->payload.empty()) continue;
    bytes += frame->payload.size();
    slow.Send(testing::WindowUpdate(0, frame->payload.size()) + testing::WindowUpdate(1, frame->payload.size()));
    // Others press for room.
    if (bytes > (4 << 20)) continue;
    absl::SleepFor(absl::Milliseconds(15));
    if (others.size() < bytes >> 18) others.emplace_back(address_).Send(call);
  }
  EXPECT_GT(bytes, 40'000'000u);
  EXPECT_THAT(server_->Log(), Contains(HasSubstr("call refused"))) << "others needed room";
}

TEST_F(PeersTest, ClientsThatDoNotReadTakeNoMoreMemoryThanTheLimit) {
  constexpr int64_t kLimit = 200 << 20;
  Start({"--max-bytes-in-flight=" + std::to_string(kLimit), "--max-idle-buffer-bytes=1", "--threads=2"});
  const std::string calls = testing::Greeting() + testing::CallFrames(kRedundantOneHot, LargeAnswer(), 1);
  // All answers together would be 1.2 GB. On each thread one may be over the limit.
  EXPECT_LT(MemoryOfUnread(calls), kLimit + (int64_t{200} << 20));
}

// Their tensors lie inside of messages, and so in none of the buffers that are counted by themselves.
TEST_F(PeersTest, NetworksThatAreNotReadTakeNoMoreMemoryThanTheLimit) {
  constexpr int64_t kLimit = 200 << 20;
  Start({"--max-bytes-in-flight=" + std::to_string(kLimit), "--max-idle-buffer-bytes=1", "--threads=2"});
  v1::GetNetworkRequest request;
  {
    const auto network =
        Client::Connect(address_)->CreateNetwork({{.kind = LinearLayer{RowMatrix<float>::Ones(3200, 3200), {}}}});
    ASSERT_TRUE(network.ok()) << network.status();
    request.set_network(network->name());
  }
  const std::string calls = testing::Greeting() + testing::CallFrames("/spikeserve.v1.SpikeNetworkService/GetNetwork",
                                                                      request.SerializeAsString(), 1);
  // All answers together would be 1.2 GB. On each thread one may be over the limit, and is there up to three times.
  EXPECT_LT(MemoryOfUnread(calls), kLimit + (int64_t{300} << 20));
}

}  // namespace
}  // namespace spikeserve

#include "runtime/network_store.h"

#include <latch>
#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "runtime/compute_pool.h"
#include "runtime/engine.h"
#include "runtime/steady_time.h"

namespace spikeserve::server {
namespace {

Network OneNeuron() { return *Network::Create({{.kind = IfNode{}}}); }

class NetworkStoreTest : public ::testing::Test {
 protected:
  NetworkStore Make() {
    return NetworkStore(limits_, pool_, [this] { return now_; });
  }

  absl::Time now_ = absl::FromUnixSeconds(1000);
  Limits limits_;
  ComputePool pool_{1};
};

TEST_F(NetworkStoreTest, NamesAreLongAndNeverTheSame) {
  NetworkStore store = Make();
  std::set<std::string> names;
  for (int i = 0; i < 100; ++i) names.insert((*store.Add(OneNeuron(), "alice"))->name);
  EXPECT_EQ(names.size(), 100u);
  for (const std::string& name : names) {
    EXPECT_EQ(name.size(), 32u);
    EXPECT_EQ(name.find_first_not_of("0123456789abcdef"), std::string::npos);
  }
}

TEST_F(NetworkStoreTest, ABusyNetworkDoesNotExpire) {
  limits_.network_idle_timeout = absl::Seconds(10);
  NetworkStore store = Make();
  auto held = *store.Add(OneNeuron(), "alice");
  std::latch go(1);
  held->strand->Post([&] { go.wait(); });
  now_ += absl::Hours(1);
  EXPECT_EQ(store.List("alice").size(), 1u);
  go.count_down();
  pool_.Wait();
  store.Expire();
  EXPECT_EQ(store.List("alice").size(), 0u);
}

// Wall clocks jump, such as where a machine first hears of the time: every network was deleted then, and its file.
TEST(EngineOptions, NetworksExpireByAClockThatNobodySets) {
  const absl::Time before = SteadyNow(), now = EngineOptions().clock(), after = SteadyNow();
  EXPECT_LE(before, now);
  EXPECT_LE(now, after);
}

TEST_F(NetworkStoreTest, RestoredNetworksAreIdleOnlyFromWhenCallersReachThem) {
  limits_.network_idle_timeout = absl::Seconds(10);
  NetworkStore store = Make();
  const auto restore = [&](char digit) {
    ASSERT_TRUE(store.Restore(std::string(32, digit), "alice", OneNeuron(), 0, nullptr).ok());
  };
  restore('1');
  now_ += absl::Hours(1);
  store.Expire();
  restore('2');
  now_ += absl::Hours(1);
  EXPECT_EQ(store.List("alice").size(), 2u);
  EXPECT_EQ(store.List("alice")[0].idle, absl::ZeroDuration());
  store.StartIdleTimes();
  now_ += absl::Seconds(8);
  for (const NetworkStore::Info& info : store.List("alice")) EXPECT_EQ(info.idle, absl::Seconds(8));
  EXPECT_TRUE(store.Find(std::string(32, '1'), "alice").ok());
  now_ += absl::Seconds(8);
  ASSERT_EQ(store.List("alice").size(), 1u);
  EXPECT_EQ(store.List("alice")[0].name, std::string(32, '1'));
  EXPECT_EQ(store.expired(), 1);
}

TEST_F(NetworkStoreTest, IdleTimesThatHaveStartedGoOn) {
  limits_.network_idle_timeout = absl::Seconds(10);
  NetworkStore store = Make();
  ASSERT_TRUE(store.Add(OneNeuron(), "alice").ok());
  now_ += absl::Seconds(8);
  store.StartIdleTimes();
  now_ += absl::Seconds(8);
  EXPECT_TRUE(store.List("alice").empty());
}

TEST_F(NetworkStoreTest, BytesAreCountedOverAllNetworksAndGivenBack) {
  limits_.max_network_bytes = 10'000;
  NetworkStore store = Make();
  const auto a = *store.Add(OneNeuron(), "alice"), b = *store.Add(OneNeuron(), "alice");
  ASSERT_TRUE(store.SetBytes(*a, 5'000).ok());
  EXPECT_EQ(store.SetBytes(*b, 5'001).code(), absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(store.SetBytes(*b, 5'000).ok());
  ASSERT_TRUE(store.Remove(a->name, "alice").ok());
  EXPECT_TRUE(store.SetBytes(*b, 10'000).ok());
  EXPECT_TRUE(store.SetBytes(*a, 50'000).ok()) << "a removed network takes nothing";
  EXPECT_EQ(store.Remove(a->name, "alice").code(), absl::StatusCode::kNotFound);
}

TEST_F(NetworkStoreTest, ANetworkExistsOnlyForItsOwner) {
  NetworkStore store = Make();
  const auto held = *store.Add(OneNeuron(), "alice");
  EXPECT_EQ(held->owner, "alice");
  ASSERT_TRUE(store.Remove((*store.Add(OneNeuron(), "alice"))->name, "alice").ok());
  const std::string absent(32, '0');
  for (const char* other : {"bob", "", "alic", "alice2", "cert:alice"}) {
    EXPECT_TRUE(store.List(other).empty());
    const auto refused = [](const absl::Status& status, const std::string& name) {
      EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
      return absl::StrReplaceAll(status.message(), {{name, "NAME"}});
    };
    EXPECT_EQ(refused(store.Find(held->name, other).status(), held->name),
              refused(store.Find(absent, other).status(), absent));
    EXPECT_EQ(refused(store.Remove(held->name, other), held->name), refused(store.Remove(absent, other), absent));
  }
  EXPECT_EQ(*store.Find(held->name, "alice"), held);
  EXPECT_EQ(store.Total().networks, 1);
}

TEST_F(NetworkStoreTest, OthersDoNotKeepANetworkFromExpiring) {
  limits_.network_idle_timeout = absl::Seconds(10);
  NetworkStore store = Make();
  const auto held = *store.Add(OneNeuron(), "alice");
  now_ += absl::Seconds(8);
  EXPECT_FALSE(store.Find(held->name, "bob").ok());
  now_ += absl::Seconds(8);
  EXPECT_EQ(store.expired(), 0);
  EXPECT_FALSE(store.Find(held->name, "alice").ok());
  EXPECT_EQ(store.expired(), 1);
  EXPECT_EQ(store.Total().networks, 0);
  EXPECT_EQ(store.Total().bytes, 0);
}

TEST_F(NetworkStoreTest, EachOwnerHasLimitsOfItsOwn) {
  limits_.max_networks = 4;
  limits_.max_networks_per_identity = 2;
  limits_.max_network_bytes = 20'000;
  limits_.max_network_bytes_per_identity = 8'000;
  NetworkStore store = Make();
  const auto expect_over = [](const absl::Status& status, const char* flag) {
    EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
    EXPECT_THAT(std::string(status.message()), ::testing::HasSubstr(absl::StrCat("(the server's ", flag, ")")));
  };
  const auto a = *store.Add(OneNeuron(), "alice"), b = *store.Add(OneNeuron(), "alice");
  expect_over(store.Add(OneNeuron(), "alice").status(), "--max-networks-per-identity");
  ASSERT_TRUE(store.SetBytes(*a, 8'000 - b->ByteSize()).ok());
  expect_over(store.SetBytes(*b, b->ByteSize() + 1), "--max-network-bytes-per-identity");
  const auto c = *store.Add(OneNeuron(), "bob");
  EXPECT_TRUE(store.SetBytes(*c, 8'000).ok()) << "what one has is not another's";
  const auto d = *store.Add(OneNeuron(), "carol");
  expect_over(store.SetBytes(*d, 4'001), "--max-network-bytes");
  EXPECT_TRUE(store.SetBytes(*d, 4'000).ok());
  expect_over(store.Add(OneNeuron(), "dave").status(), "--max-networks");
  EXPECT_EQ(store.Total().networks, 4);
  EXPECT_EQ(store.Total().bytes, 20'000);
  ASSERT_TRUE(store.Remove(a->name, "alice").ok());
  EXPECT_TRUE(store.Add(OneNeuron(), "alice").ok());
}

}  // namespace
}  // namespace spikeserve::server

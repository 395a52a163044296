#include "runtime/network_store.h"

#include <latch>
#include <set>

#include "gtest/gtest.h"
#include "runtime/compute_pool.h"

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
  for (int i = 0; i < 100; ++i) names.insert((*store.Add(OneNeuron()))->name);
  EXPECT_EQ(names.size(), 100u);
  for (const std::string& name : names) {
    EXPECT_EQ(name.size(), 32u);
    EXPECT_EQ(name.find_first_not_of("0123456789abcdef"), std::string::npos);
  }
}

TEST_F(NetworkStoreTest, ABusyNetworkDoesNotExpire) {
  limits_.network_idle_timeout = absl::Seconds(10);
  NetworkStore store = Make();
  auto held = *store.Add(OneNeuron());
  std::latch go(1);
  held->strand->Post([&] { go.wait(); });
  now_ += absl::Hours(1);
  EXPECT_EQ(store.List().size(), 1u);
  go.count_down();
  pool_.Wait();
  store.Expire();
  EXPECT_EQ(store.List().size(), 0u);
}

TEST_F(NetworkStoreTest, BytesAreCountedOverAllNetworksAndGivenBack) {
  limits_.max_network_bytes = 10'000;
  NetworkStore store = Make();
  const auto a = *store.Add(OneNeuron()), b = *store.Add(OneNeuron());
  ASSERT_TRUE(store.SetBytes(*a, 5'000).ok());
  EXPECT_EQ(store.SetBytes(*b, 5'001).code(), absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(store.SetBytes(*b, 5'000).ok());
  ASSERT_TRUE(store.Remove(a->name).ok());
  EXPECT_TRUE(store.SetBytes(*b, 10'000).ok());
  EXPECT_TRUE(store.SetBytes(*a, 50'000).ok()) << "a removed network takes nothing";
  EXPECT_EQ(store.Remove(a->name).code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace spikeserve::server

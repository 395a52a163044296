// Results in shared memory: what is offered for them, and what a response may name.

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/shared_memory_connection_testing.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "shared_memory/result_sizes.h"
#include "shared_memory/shared_tensors.h"
#include "spikeserve/client/client.h"
#include "spikeserve/v1/functions.pb.h"
#include "spikeserve/v1/shared_memory.pb.h"

namespace spikeserve {
namespace {

using ::testing::ElementsAre;
using Request = v1::SpikeClusterRequest;

// Responds as a server does, with a tensor of so many bytes, all `letter`.
std::function<void(const std::string&, codec::Envelope&)> Responding(const shared_memory::RegionStore& store,
                                                                     BufferPool& buffers, size_t size, char letter) {
  return [&store, &buffers, size, letter](const std::string& offer, codec::Envelope& response) {
    const std::string bytes(size, letter);
    codec::Outgoing<v1::SpikeClusterResponse> outgoing(buffers);
    codec::EncodeTensor(TensorView(DataType::kUint8, {static_cast<int64_t>(size)}, bytes.data()), outgoing.tensor(1));
    response = std::move(outgoing).Release();
    shared_memory::PlaceResults(offer, store, response);
  };
}

TEST_F(SharedMemoryConnectionTest, FromTheSecondCallOnResultsComeInSharedMemory) {
  StartServer();
  Connect();
  const std::string operand(10, 'x');
  std::vector<codec::Envelope> responses;  // All are kept, so that each has memory of its own.
  for (const char letter : {'a', 'b', 'c'}) {
    inner_->respond = Responding(*store_, inner_->buffers(), 1000, letter);
    ASSERT_TRUE(Call(RequestOf(operand.data(), 10)).ok());
    responses.push_back(std::move(response_));
  }
  EXPECT_EQ(usage().regions, 2);
  for (int i = 0; i < 3; ++i) {
    codec::TensorField& result = responses[i].tensors.at(0);
    EXPECT_EQ(result.data.view(), std::string(1000, static_cast<char>('a' + i)));
    EXPECT_FALSE(result.header.has_shared());
    const absl::StatusOr<Tensor> tensor = codec::TakeTensor(result, "n_o", INT64_MAX);
    ASSERT_TRUE(tensor.ok()) << tensor.status();
    EXPECT_EQ(tensor->values<uint8_t>()[999], 'a' + i);
  }
  // A result may be an operand, which then is not copied.
  responses.clear();
  inner_->respond = Responding(*store_, inner_->buffers(), 1000, 'd');
  ASSERT_TRUE(Call(RequestOf(operand.data(), 10)).ok());
  const codec::Envelope kept = std::move(response_);
  ASSERT_TRUE(Call(RequestOf(kept.tensors[0].data.data, 1000)).ok());
  EXPECT_EQ(Resolved(inner_->requests.back()), std::string(1000, 'd'));
  EXPECT_EQ(usage().regions, 2);
}

TEST_F(SharedMemoryConnectionTest, ResultsOfEachKindOfRequestAreExpectedAsTheyWereLast) {
  StartServer();
  Connect();
  const std::string operand(20, 'x');
  std::vector<std::string> offers;
  for (int round = 0; round < 2; ++round) {
    // The larger operand has the smaller result.
    for (const size_t operand_size : {10, 20}) {
      const size_t result_size = 100000 / operand_size;
      inner_->respond = [&](const std::string& offer, codec::Envelope& response) {
        offers.push_back(offer);
        Responding(*store_, inner_->buffers(), result_size, 'r')(offer, response);
      };
      ASSERT_TRUE(Call(RequestOf(operand.data(), operand_size)).ok());
    }
  }
  const auto expected = [&](int call) {
    v1::ResultMemory offered;
    EXPECT_TRUE(offered.ParseFromString(offers[call]));
    return offered.pieces_size() == 1 ? offered.pieces(0).size() : 0;
  };
  EXPECT_EQ(expected(0), 0u);
  EXPECT_EQ(expected(1), 0u);
  EXPECT_EQ(expected(2), 10000u);
  EXPECT_EQ(expected(3), 5000u);
}

TEST(ResultSizes, ARequestsNumbersDoNotMakeItAnotherKind) {
  BufferPool buffers(0);
  codec::Outgoing<Request> a(buffers);
  codec::Outgoing<Request> b(buffers);
  a->set_t_in(1);
  b->set_t_in(2);
  b->set_v_min(-1);
  const codec::Envelope first = std::move(a).Release();
  codec::Envelope second = std::move(b).Release();
  EXPECT_EQ(ResultSizes::KindOf("/a", first), ResultSizes::KindOf("/a", second));
  EXPECT_NE(ResultSizes::KindOf("/a", first), ResultSizes::KindOf("/b", first));
  static_cast<Request&>(*second.message).set_index_output(true);
  EXPECT_NE(ResultSizes::KindOf("/a", first), ResultSizes::KindOf("/a", second));
  static_cast<Request&>(*second.message).set_index_output(false);
  EXPECT_EQ(ResultSizes::KindOf("/a", first), ResultSizes::KindOf("/a", second));
  static_cast<Request&>(*second.message).set_mask_dtype(v1::DATA_TYPE_BIT);
  EXPECT_NE(ResultSizes::KindOf("/a", first), ResultSizes::KindOf("/a", second));
}

TEST(ResultSizes, ForgetsRatherThanGrows) {
  ResultSizes sizes;
  for (int i = 0; i < 1000; ++i) {
    sizes.Learn(absl::StrCat(i), {static_cast<size_t>(i)});
    EXPECT_THAT(sizes.Expected(absl::StrCat(i)), ElementsAre(i));
  }
  EXPECT_TRUE(sizes.Expected("0").empty());
  EXPECT_TRUE(sizes.Expected("never").empty());
}

TEST(ResultSizes, KindsWithoutLargeResultsTakeNoPlaceOfOthers) {
  ResultSizes sizes;
  sizes.Learn("large", {7});
  for (int i = 0; i < 1000; ++i) sizes.Learn(absl::StrCat(i), {});
  EXPECT_THAT(sizes.Expected("large"), ElementsAre(7));
  sizes.Learn("large", {});
  EXPECT_TRUE(sizes.Expected("large").empty());
}

TEST_F(SharedMemoryConnectionTest, ResultsThatBecomeLargerAreSent) {
  StartServer();
  Connect();
  const std::string operand(10, 'x');
  for (const size_t size : {1000, 100000, 100001, 50, 100, 200000}) {
    inner_->respond = Responding(*store_, inner_->buffers(), size, 'r');
    ASSERT_TRUE(Call(RequestOf(operand.data(), 10)).ok());
    EXPECT_EQ(response_.tensors.at(0).data.view(), std::string(size, 'r'));
  }
}

TEST_F(SharedMemoryConnectionTest, MemoryForTheResultsOfAFailedCallIsNotUsedAgain) {
  StartServer();
  Connect();
  const std::string operand(10, 'x');
  std::string late;
  inner_->respond = [&](const std::string& offer, codec::Envelope& response) {
    late = offer;
    Responding(*store_, inner_->buffers(), 1000, 'a')(offer, response);
  };
  for (int i = 0; i < 2; ++i) ASSERT_TRUE(Call(RequestOf(operand.data(), 10)).ok());
  response_ = {};
  inner_->answer = [](const auto&) { return absl::DeadlineExceededError("x"); };
  ASSERT_FALSE(Call(RequestOf(operand.data(), 10)).ok());
  v1::ResultMemory offered;
  ASSERT_TRUE(offered.ParseFromString(late));
  const std::string handle = offered.pieces(0).handle();
  // The server forgets it as soon as it hears of it.
  while (store_->Find(handle) != nullptr) absl::SleepFor(absl::Milliseconds(1));
  inner_->answer = [](const auto&) { return absl::OkStatus(); };
  ASSERT_TRUE(Call(RequestOf(operand.data(), 10)).ok());
  ASSERT_TRUE(offered.ParseFromString(late));
  EXPECT_NE(offered.pieces(0).handle(), handle);
}

TEST_F(SharedMemoryConnectionTest, AResponseThatNamesOtherMemoryIsAnError) {
  StartServer();
  Connect();
  const std::string operand(10, 'x');
  inner_->respond = Responding(*store_, inner_->buffers(), 1000, 'a');
  ASSERT_TRUE(Call(RequestOf(operand.data(), 10)).ok());
  const std::vector<std::function<void(v1::SharedMemory&)>> changes = {
      [](v1::SharedMemory& name) { name.set_handle("other"); },
      [](v1::SharedMemory& name) { name.set_offset(64); },
      [](v1::SharedMemory& name) { name.set_size(1001); },
  };
  for (const auto& change : changes) {
    inner_->respond = [&](const std::string& offer, codec::Envelope& response) {
      Responding(*store_, inner_->buffers(), 1000, 'a')(offer, response);
      change(*response.tensors[0].header.mutable_shared());
    };
    EXPECT_EQ(Call(RequestOf(operand.data(), 10)).code(), absl::StatusCode::kInternal);
  }
}

}  // namespace
}  // namespace spikeserve

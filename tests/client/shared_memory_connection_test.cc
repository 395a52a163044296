// How calls are made to name shared memory, against the server's own store of it.

#include <poll.h>
#include <sys/socket.h>

#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "connection.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "rpc_traits.h"
#include "shared_memory/handover_server.h"
#include "shared_memory/handover_socket.h"
#include "shared_memory/result_sizes.h"
#include "shared_memory/shared_tensors.h"
#include "spikeserve/client/client.h"
#include "spikeserve/compute/field_error.h"
#include "spikeserve/v1/functions.pb.h"
#include "spikeserve/v1/shared_memory.pb.h"

namespace spikeserve {
namespace {

using ::testing::ElementsAre;
using Request = v1::SpikeClusterRequest;

// Answers each attempt as it is told, and remembers what was asked.
class Inner : public Connection {
 public:
  void Start(const Rpc& rpc, std::function<void(absl::Status)> done) override {
    requests.push_back(rpc.request->Share());
    const absl::Status status = answer(requests.back());
    if (status.ok()) respond(std::string(rpc.result_memory), *rpc.response);
    done(status);
  }
  int64_t stream_above_bytes(int64_t divisor) const override { return 800 / divisor; }
  void Stream(std::shared_ptr<StreamExchange>, absl::Time, std::function<void(absl::Status)> done) override {
    done(absl::UnimplementedError("not streamed here"));
  }

  absl::StatusOr<std::shared_ptr<MessageStream>> OpenStream(const StreamRpc&) override {
    return absl::UnimplementedError("not streamed here");
  }
  BufferPool& buffers() override { return buffers_; }

  std::function<absl::Status(const codec::Envelope& request)> answer = [](const auto&) { return absl::OkStatus(); };
  // Makes the response, given the memory that was offered for it.
  std::function<void(const std::string& offer, codec::Envelope& response)> respond = [](const auto&, auto&) {};
  std::vector<codec::Envelope> requests;

 private:
  BufferPool buffers_{1 << 20};
};

class SharedMemoryConnectionTest : public ::testing::Test {
 protected:
  void StartServer(const shared_memory::Quota& quota = {}) {
    store_ = std::make_shared<shared_memory::RegionStore>(quota);
    auto server = shared_memory::HandoverServer::Start({path_ + ".shm"}, store_);
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
  }
  void StopServer() { server_.reset(); }

  void Connect(ConnectOptions options = {}) {
    options.min_shared_tensor_bytes = 100;
    connection_ = *MakeSharedMemoryConnection(inner_, "unix:" + path_, options);
  }

  // A request whose v is the bytes at `data`.
  codec::Envelope RequestOf(const void* data, size_t size) {
    codec::Outgoing<Request> request(inner_->buffers());
    request.AddReference(Request::kVFieldNumber, TensorView(DataType::kUint8, {static_cast<int64_t>(size)}, data),
                         owner_);
    request->set_t_in(7);
    return std::move(request).Release();
  }

  absl::Status Call(const codec::Envelope& request, bool has_side_effects = false,
                    absl::Time deadline = absl::InfiniteFuture()) {
    absl::Status got = absl::UnknownError("not called");
    response_ = {std::make_unique<v1::SpikeClusterResponse>(), {}};
    connection_->Start({"/x/y", true, &request, &response_, deadline, has_side_effects},
                       [&](absl::Status status) { got = std::move(status); });
    return got;
  }

  // The v of the n-th request that came through.
  const codec::TensorField& V(size_t n) { return *inner_->requests.at(n).Find(Request::kVFieldNumber); }
  // The bytes that the server finds for it.
  std::string Resolved(const codec::Envelope& request) {
    codec::Envelope copy = request.Share();
    const absl::Status status = shared_memory::Resolve(copy, *store_, INT64_MAX);
    EXPECT_TRUE(status.ok()) << status;
    const codec::TensorField& v = *copy.Find(Request::kVFieldNumber);
    return std::string(v.data.view());
  }
  shared_memory::RegionStore::Usage usage() const { return store_->UsageOf(getuid()); }

  static absl::Status Unknown() { return FieldError(absl::StatusCode::kNotFound, "v.shared.handle", "x", "y"); }

  const std::string path_ = absl::StrCat(::testing::TempDir(), "spikeserve-shm-", getpid(), "-",
                                         ::testing::UnitTest::GetInstance()->current_test_info()->name());
  std::shared_ptr<shared_memory::RegionStore> store_;
  std::unique_ptr<shared_memory::HandoverServer> server_;
  std::shared_ptr<Inner> inner_ = std::make_shared<Inner>();
  std::shared_ptr<Connection> connection_;
  std::shared_ptr<const void> owner_ = std::make_shared<int>();
  codec::Envelope response_;
};

TEST_F(SharedMemoryConnectionTest, ATensorOfTheConnectionIsNamedWhereItIs) {
  StartServer();
  Connect();
  const auto buffer = connection_->NewTensorBuffer(1000);
  std::memset(buffer.get(), 'a', 1000);
  ASSERT_TRUE(Call(RequestOf(buffer.get() + 10, 900)).ok());
  EXPECT_EQ(V(0).header.shared().offset(), 10u);
  EXPECT_EQ(V(0).header.shared().size(), 900u);
  EXPECT_EQ(V(0).data.size, 0u);
  EXPECT_EQ(static_cast<const Request&>(*inner_->requests[0].message).t_in(), 7);
  EXPECT_EQ(Resolved(inner_->requests[0]), std::string(900, 'a'));
  // In place: what is written shows, and there is one region.
  std::memset(buffer.get(), 'b', 1000);
  EXPECT_EQ(Resolved(inner_->requests[0]), std::string(900, 'b'));
  EXPECT_EQ(usage().regions, 1);
  EXPECT_TRUE(connection_->shared_memory_in_use());
}

TEST_F(SharedMemoryConnectionTest, MemoryIsHandedOverOnce) {
  StartServer();
  Connect();
  const auto buffer = connection_->NewTensorBuffer(1000);
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(Call(RequestOf(buffer.get(), 1000)).ok());
  EXPECT_EQ(V(0).header.shared().handle(), V(2).header.shared().handle());
  EXPECT_EQ(usage().regions, 1);
}

TEST_F(SharedMemoryConnectionTest, OtherOperandsAreCopiedIntoARegionThatIsUsedAgain) {
  StartServer();
  Connect();
  for (const char letter : {'a', 'b', 'c'}) {
    const std::string operand(5000, letter);
    inner_->answer = [&](const codec::Envelope& request) {
      EXPECT_EQ(Resolved(request), operand);
      return absl::OkStatus();
    };
    ASSERT_TRUE(Call(RequestOf(operand.data(), operand.size())).ok());
  }
  EXPECT_EQ(V(0).header.shared().handle(), V(2).header.shared().handle());
  EXPECT_EQ(usage().regions, 1);
}

TEST_F(SharedMemoryConnectionTest, TheCallersMemoryIsFreeWhenItWasCopied) {
  StartServer();
  Connect();
  const std::string operand(5000, 'x');
  const codec::Envelope request = RequestOf(operand.data(), operand.size());
  const long owners = owner_.use_count();
  inner_->answer = [&](const codec::Envelope&) {
    EXPECT_EQ(owner_.use_count(), owners);  // gRPC gets none.
    return absl::OkStatus();
  };
  ASSERT_TRUE(Call(request).ok());
}

TEST_F(SharedMemoryConnectionTest, SmallTensorsAndThoseThatAreWrongAreSent) {
  StartServer();
  Connect();
  const std::string operand(1000, 'x');
  ASSERT_TRUE(Call(RequestOf(operand.data(), 99)).ok());
  codec::Envelope wrong = RequestOf(operand.data(), 1000);
  wrong.Find(Request::kVFieldNumber)->header.set_shape(0, 999);
  ASSERT_TRUE(Call(wrong).ok());
  wrong.Find(Request::kVFieldNumber)->header.set_shape(0, 1000);
  wrong.Find(Request::kVFieldNumber)->header.add_values(1);
  ASSERT_TRUE(Call(wrong).ok());
  for (int i = 0; i < 3; ++i) {
    EXPECT_FALSE(V(i).header.has_shared());
    EXPECT_EQ(reinterpret_cast<const char*>(V(i).data.data), operand.data());
  }
  EXPECT_FALSE(connection_->shared_memory_in_use());
}

TEST_F(SharedMemoryConnectionTest, WithoutAServerThatSharesTensorsAreSent) {
  Connect();
  const auto buffer = connection_->NewTensorBuffer(1000);
  const std::string operand(1000, 'x');
  ASSERT_TRUE(Call(RequestOf(buffer.get(), 1000)).ok());
  ASSERT_TRUE(Call(RequestOf(operand.data(), 1000)).ok());
  EXPECT_EQ(V(0).data.data, buffer.get());
  EXPECT_EQ(V(1).data.size, 1000u);
  EXPECT_FALSE(connection_->shared_memory_in_use());
  // It may come later.
  StartServer();
  ASSERT_TRUE(Call(RequestOf(buffer.get(), 1000)).ok());
  EXPECT_TRUE(V(2).header.has_shared());
  EXPECT_TRUE(connection_->shared_memory_in_use());
}

TEST_F(SharedMemoryConnectionTest, AServerThatWasRestartedGetsTheMemoryAgain) {
  StartServer();
  Connect();
  const auto buffer = connection_->NewTensorBuffer(1000);
  ASSERT_TRUE(Call(RequestOf(buffer.get(), 1000)).ok());
  StopServer();
  StartServer();
  inner_->answer = [&](const codec::Envelope& request) {
    codec::Envelope copy = request.Share();
    return shared_memory::Resolve(copy, *store_, INT64_MAX);
  };
  std::memset(buffer.get(), 'n', 1000);
  ASSERT_TRUE(Call(RequestOf(buffer.get(), 1000)).ok());
  // It is noticed before the call: a server would not say that it knows no memory that is meant for results.
  ASSERT_EQ(inner_->requests.size(), 2u);
  EXPECT_NE(V(1).header.shared().handle(), V(0).header.shared().handle());
  EXPECT_EQ(Resolved(inner_->requests[1]), std::string(1000, 'n'));
}

TEST_F(SharedMemoryConnectionTest, AServerThatForgotTheMemoryGetsItAgain) {
  StartServer();
  Connect();
  const auto buffer = connection_->NewTensorBuffer(1000);
  ASSERT_TRUE(Call(RequestOf(buffer.get(), 1000)).ok());
  inner_->answer = [&](const auto&) { return inner_->requests.size() == 2 ? Unknown() : absl::OkStatus(); };
  ASSERT_TRUE(Call(RequestOf(buffer.get(), 1000)).ok());
  ASSERT_EQ(inner_->requests.size(), 3u);
  EXPECT_EQ(V(1).header.shared().handle(), V(0).header.shared().handle());
  EXPECT_NE(V(2).header.shared().handle(), V(0).header.shared().handle());
}

TEST_F(SharedMemoryConnectionTest, AServerThatSharesNoLongerGetsTheElements) {
  StartServer();
  Connect();
  const auto buffer = connection_->NewTensorBuffer(1000);
  ASSERT_TRUE(Call(RequestOf(buffer.get(), 1000)).ok());
  StopServer();
  inner_->answer = [&](const codec::Envelope& request) {
    if (!shared_memory::NamesSharedMemory(request)) return absl::OkStatus();
    return FieldError(absl::StatusCode::kFailedPrecondition, "v.shared", "x", "y");
  };
  ASSERT_TRUE(Call(RequestOf(buffer.get(), 1000)).ok());
  ASSERT_EQ(inner_->requests.size(), 2u);
  EXPECT_EQ(V(1).data.data, buffer.get());
  EXPECT_FALSE(connection_->shared_memory_in_use());
}

TEST_F(SharedMemoryConnectionTest, AServerThatForgetsAgainAndAgainGetsTheElements) {
  StartServer();
  Connect();
  const std::string operand(1000, 'x');
  inner_->answer = [&](const codec::Envelope& request) {
    return shared_memory::NamesSharedMemory(request) ? Unknown() : absl::OkStatus();
  };
  ASSERT_TRUE(Call(RequestOf(operand.data(), 1000)).ok());
  ASSERT_EQ(inner_->requests.size(), 3u);
  EXPECT_EQ(V(2).data.size, 1000u);
}

TEST_F(SharedMemoryConnectionTest, AServerThatFindsMemoryMissingWhereNoneWasNamedIsNotCalledForEver) {
  StartServer();
  Connect();
  const std::string operand(1000, 'x');
  inner_->answer = [](const auto&) { return Unknown(); };
  EXPECT_EQ(Call(RequestOf(operand.data(), 1000)), Unknown());
  EXPECT_EQ(inner_->requests.size(), 3u);
}

TEST_F(SharedMemoryConnectionTest, CallsAreStreamedThatAreTooLargeForAMessageAndNoOthers) {
  StartServer();
  Connect();
  EXPECT_EQ(connection_->stream_above_bytes(8), 800);
}

TEST_F(SharedMemoryConnectionTest, OtherErrorsAreTheCallers) {
  StartServer();
  Connect();
  const std::string operand(1000, 'x');
  for (const absl::Status& status :
       {absl::UnavailableError("x"), InvalidField("v", "x", "y"),
        FieldError(absl::StatusCode::kNotFound, "network", "x", "y"), absl::DeadlineExceededError("x")}) {
    inner_->answer = [&](const auto&) { return status; };
    inner_->requests.clear();
    EXPECT_EQ(Call(RequestOf(operand.data(), 1000)), status);
    EXPECT_EQ(inner_->requests.size(), 1u);
  }
}

TEST_F(SharedMemoryConnectionTest, TheInputOfAFailedChangeStaysAsItIs) {
  StartServer();
  Connect();
  const auto buffer = connection_->NewTensorBuffer(1000);
  std::memset(buffer.get(), 'a', 1000);
  std::string late;  // What the server reads when the call has failed for the client.
  codec::Envelope begun;
  inner_->answer = [&](const codec::Envelope& request) {
    begun = request.Share();
    EXPECT_TRUE(shared_memory::Resolve(begun, *store_, INT64_MAX).ok());
    return absl::DeadlineExceededError("x");
  };
  EXPECT_FALSE(Call(RequestOf(buffer.get(), 1000), /*has_side_effects=*/true).ok());
  const codec::Envelope abandoned = std::move(begun);
  // The caller and further calls write wherever they may.
  std::memset(buffer.get(), 'b', 1000);
  const std::string operand(1000, 'c');
  inner_->answer = [](const auto&) { return absl::OkStatus(); };
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(Call(RequestOf(operand.data(), 1000), /*has_side_effects=*/true).ok());
  EXPECT_EQ(abandoned.Find(Request::kVFieldNumber)->data.view(), std::string(1000, 'a'));
}

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

TEST_F(SharedMemoryConnectionTest, OverTheClientsBoundTensorsAreSent) {
  StartServer();
  Connect({.max_shared_memory_bytes = 1 << 20});
  const std::string operand(2 << 20, 'x');
  ASSERT_TRUE(Call(RequestOf(operand.data(), operand.size())).ok());
  EXPECT_FALSE(V(0).header.has_shared());
  const auto buffer = connection_->NewTensorBuffer(2 << 20);
  ASSERT_NE(buffer, nullptr);
  ASSERT_TRUE(Call(RequestOf(buffer.get(), 2 << 20)).ok());
  EXPECT_FALSE(V(1).header.has_shared());
  EXPECT_EQ(usage().regions, 0);
}

TEST_F(SharedMemoryConnectionTest, OverTheServersQuotaTensorsAreSent) {
  StartServer({.max_bytes = 1 << 20});
  Connect();
  const std::string operand(2 << 20, 'x');
  for (int i = 0; i < 2; ++i) ASSERT_TRUE(Call(RequestOf(operand.data(), operand.size())).ok());
  EXPECT_FALSE(V(0).header.has_shared());
  EXPECT_FALSE(V(1).header.has_shared());
  ASSERT_TRUE(Call(RequestOf(operand.data(), 1000)).ok());
  EXPECT_TRUE(V(2).header.has_shared());
}

TEST_F(SharedMemoryConnectionTest, WhatNobodyUsesMakesRoomInTheServersQuota) {
  StartServer({.max_bytes = 3 << 20});
  Connect();
  const std::string operand(2 << 20, 'x');
  ASSERT_TRUE(Call(RequestOf(operand.data(), 2 << 20)).ok());
  ASSERT_TRUE(Call(RequestOf(operand.data(), (1 << 20) + 100000)).ok());
  EXPECT_TRUE(V(1).header.has_shared());
  EXPECT_EQ(usage().regions, 1);
}

TEST_F(SharedMemoryConnectionTest, TheServersMemoryGoesWithTheConnection) {
  StartServer();
  Connect();
  const auto buffer = connection_->NewTensorBuffer(1000);
  ASSERT_TRUE(Call(RequestOf(buffer.get(), 1000)).ok());
  inner_->requests.clear();
  EXPECT_EQ(usage().regions, 1);
  connection_.reset();
  while (usage().regions > 0) absl::SleepFor(absl::Milliseconds(1));
  buffer.get()[999] = 'x';  // The tensor may still be used.
}

TEST_F(SharedMemoryConnectionTest, AServerThatDoesNotAnswerIsNotWaitedForPastTheDeadline) {
  // It accepts connections, as the kernel does for it, and that is all.
  const auto silent = shared_memory::ListenAt(path_ + ".shm");
  ASSERT_TRUE(silent.ok());
  Connect();
  const std::string operand(1000, 'x');
  ASSERT_TRUE(Call(RequestOf(operand.data(), 1000), false, absl::Now() + absl::Milliseconds(20)).ok());
  EXPECT_EQ(V(0).data.size, 1000u);
  // Without a deadline it is given up, too, and then left alone.
  for (int i = 0; i < 50; ++i) ASSERT_TRUE(Call(RequestOf(operand.data(), 1000)).ok());
  EXPECT_EQ(V(50).data.size, 1000u);
}

TEST_F(SharedMemoryConnectionTest, AnAnswerThatCameTooLateForOneCallServesTheNext) {
  auto listener = shared_memory::ListenAt(path_ + ".shm");
  ASSERT_TRUE(listener.ok());
  Connect();
  const auto buffer = connection_->NewTensorBuffer(1000);
  ASSERT_TRUE(Call(RequestOf(buffer.get(), 1000), false, absl::Now() + absl::Milliseconds(5)).ok());
  const shared_memory::FileDescriptor server(accept(listener->get(), nullptr, nullptr));
  const auto offered = shared_memory::ReceivePacket(server.get());
  ASSERT_TRUE(offered.ok());
  v1::SharedMemoryResponse response;
  response.set_handle("the handle");
  ASSERT_TRUE(shared_memory::SendPacket(server.get(), response).ok());
  ASSERT_TRUE(Call(RequestOf(buffer.get(), 1000)).ok());
  EXPECT_EQ(V(1).header.shared().handle(), "the handle");
}

TEST_F(SharedMemoryConnectionTest, AServerThatTalksNonsenseIsNotBelieved) {
  const auto listener = shared_memory::ListenAt(path_ + ".shm");
  ASSERT_TRUE(listener.ok());
  std::thread server([&] {
    for (int i = 0; i < 2; ++i) {
      pollfd waited = {listener->get(), POLLIN, 0};
      poll(&waited, 1, -1);
      const shared_memory::FileDescriptor connection(accept(listener->get(), nullptr, nullptr));
      EXPECT_TRUE(shared_memory::ReceivePacket(connection.get()).ok());
      send(connection.get(), "\xff\xff", 2, 0);
    }
  });
  Connect();
  const std::string operand(1000, 'x');
  for (int i = 0; i < 2; ++i) ASSERT_TRUE(Call(RequestOf(operand.data(), 1000)).ok());
  server.join();
  EXPECT_EQ(V(1).data.size, 1000u);
}

TEST(SharedMemory, IsRefusedForOtherTargets) {
  for (const char* target : {"127.0.0.1:50051", "dns:///localhost:1", "unix:/a%b"}) {
    const auto client = Client::Connect(target, {.shared_memory = true});
    EXPECT_EQ(client.status().code(), absl::StatusCode::kInvalidArgument) << target;
    EXPECT_EQ(FieldOf(client.status()), "shared_memory");
  }
}

TEST(SharedMemory, IsUsedByConcurrentCalls) {
  const std::string path = absl::StrCat(::testing::TempDir(), "spikeserve-shm-", getpid(), "-concurrent");
  auto store = std::make_shared<shared_memory::RegionStore>(shared_memory::Quota());
  const auto server = shared_memory::HandoverServer::Start({path + ".shm"}, store);
  ASSERT_TRUE(server.ok());
  // Checks that what the server finds is what the call gave.
  class Checking : public Connection {
   public:
    explicit Checking(const shared_memory::RegionStore& store) : store_(store) {}
    void Start(const Rpc& rpc, std::function<void(absl::Status)> done) override {
      codec::Envelope copy = rpc.request->Share();
      if (absl::Status status = shared_memory::Resolve(copy, store_, INT64_MAX); !status.ok()) return done(status);
      codec::TensorField v = *copy.Find(Request::kVFieldNumber);
      const auto wanted = static_cast<char>(static_cast<const Request&>(*copy.message).t_in());
      if (v.data.view() != std::string(v.data.size, wanted)) return done(absl::DataLossError("other bytes"));
      // And sends it back.
      rpc.response->tensors.push_back(std::move(v));
      shared_memory::PlaceResults({rpc.result_memory.data(), rpc.result_memory.size()}, store_, *rpc.response);
      done(absl::OkStatus());
    }
    int64_t stream_above_bytes(int64_t /*divisor*/) const override { return 0; }
    void Stream(std::shared_ptr<StreamExchange>, absl::Time, std::function<void(absl::Status)>) override {}
    absl::StatusOr<std::shared_ptr<MessageStream>> OpenStream(const StreamRpc&) override {
      return absl::UnimplementedError("not streamed here");
    }
    BufferPool& buffers() override { return buffers_; }

   private:
    const shared_memory::RegionStore& store_;
    BufferPool buffers_{1 << 20};
  };
  const auto connection =
      *MakeSharedMemoryConnection(std::make_shared<Checking>(*store), "unix:" + path, {.min_shared_tensor_bytes = 1});
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 100; ++i) {
        const std::string operand(100 + 20000 * (i % 5), static_cast<char>(t + 1));
        codec::Outgoing<Request> request(connection->buffers());
        request.AddReference(Request::kVFieldNumber,
                             TensorView(DataType::kUint8, {static_cast<int64_t>(operand.size())}, operand.data()),
                             nullptr);
        request->set_t_in(t + 1);
        const codec::Envelope envelope = std::move(request).Release();
        codec::Envelope response{std::make_unique<v1::SpikeClusterResponse>(), {}};
        connection->Start({"/x/y", true, &envelope, &response, absl::InfiniteFuture(), i % 2 == 0},
                          [](absl::Status status) { EXPECT_TRUE(status.ok()) << status; });
        EXPECT_EQ(response.tensors.at(0).data.view(), operand);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace spikeserve

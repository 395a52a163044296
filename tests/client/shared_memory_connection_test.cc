// How calls are made to name shared memory, against the server's own store of it.

#include <poll.h>
#include <sys/socket.h>

#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/time/clock.h"
#include "client/shared_memory_connection_testing.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "shared_memory/handover_server.h"
#include "shared_memory/handover_socket.h"
#include "shared_memory/shared_tensors.h"
#include "spikeserve/client/client.h"
#include "spikeserve/compute/field_error.h"
#include "spikeserve/v1/functions.pb.h"
#include "spikeserve/v1/shared_memory.pb.h"
#include "support/test_folder.h"

namespace spikeserve {
namespace {

using Request = v1::SpikeClusterRequest;

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
  const testing::TestFolder folder;
  const std::string path = folder.Path("socket");
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

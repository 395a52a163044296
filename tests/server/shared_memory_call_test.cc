// Calls that name shared memory, as others than our own client may make them: on a real server.

#include <poll.h>
#include <signal.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "grpcpp/grpcpp.h"
#include "gtest/gtest.h"
#include "rpc/rich_status.h"
#include "rpc/server.h"
#include "shared_memory/handover_socket.h"
#include "shared_memory/shared_tensors.h"
#include "spikeserve/client/client.h"
#include "spikeserve/compute/field_error.h"
#include "spikeserve/v1/functions.grpc.pb.h"
#include "spikeserve/v1/networks.grpc.pb.h"
#include "spikeserve/v1/shared_memory.pb.h"
#include "support/child_process.h"
#include "support/shared_memory.h"
#include "support/test_folder.h"

namespace spikeserve {
namespace {

using ::testing::AllOf;
using ::testing::Each;
using ::testing::Ge;
using ::testing::HasSubstr;
using ::testing::Le;
using ::testing::Lt;

class SharedMemoryCallTest : public ::testing::Test {
 protected:
  SharedMemoryCallTest() { StartServer(shared_memory::Quota()); }

  void StartServer(std::optional<shared_memory::Quota> quota, server::Limits limits = {}) {
    server_.reset();
    rpc::ServerOptions options;
    options.listen = {address_, "127.0.0.1:0"};
    options.shared_memory = quota;
    options.engine.limits = limits;
    absl::StatusOr<std::unique_ptr<rpc::Server>> server = rpc::Server::Start(options);
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
  }

  // Hands `memory` over on a connection that stays open.
  std::string Share(const shared_memory::FileDescriptor& memory) {
    if (!handover_) handover_ = *shared_memory::ConnectTo(path_ + ".shm");
    v1::SharedMemoryRequest request;
    request.mutable_share();
    EXPECT_TRUE(shared_memory::SendPacket(handover_.get(), request, memory.get()).ok());
    pollfd waited = {handover_.get(), POLLIN, 0};
    poll(&waited, 1, -1);
    v1::SharedMemoryResponse response;
    EXPECT_TRUE(response.ParseFromString(shared_memory::ReceivePacket(handover_.get())->bytes));
    return response.handle();
  }

  static v1::Tensor SharedTensor(v1::DataType dtype, std::vector<int64_t> shape, const std::string& handle,
                                 uint64_t offset, uint64_t size) {
    v1::Tensor tensor;
    tensor.set_dtype(dtype);
    tensor.mutable_shape()->Assign(shape.begin(), shape.end());
    tensor.mutable_shared()->set_handle(handle);
    tensor.mutable_shared()->set_offset(offset);
    tensor.mutable_shared()->set_size(size);
    return tensor;
  }

  static v1::SpikeClusterRequest ClusterRequest(const v1::Tensor& v) {
    v1::SpikeClusterRequest request;
    *request.mutable_v() = v;
    request.mutable_v_threshold()->set_dtype(v1::DATA_TYPE_FLOAT32);
    request.mutable_v_threshold()->add_values(1);
    request.set_t_in(1);
    request.set_index_output(true);
    return request;
  }

  absl::Status SpikeCluster(const v1::SpikeClusterRequest& request, v1::SpikeClusterResponse* response,
                            int listener = 0) {
    const auto stub = v1::SpikeFunctionService::NewStub(
        grpc::CreateChannel(server_->addresses()[listener], grpc::InsecureChannelCredentials()));
    grpc::ClientContext context;
    return rpc::FromGrpc(stub->SpikeCluster(&context, request, response));
  }

  absl::StatusOr<Client> Connect() { return Client::Connect(address_, {.shared_memory = true}); }

  const testing::TestFolder folder_;
  const std::string path_ = folder_.Path("socket");
  const std::string address_ = "unix:" + path_;
  std::unique_ptr<rpc::Server> server_;
  shared_memory::FileDescriptor handover_;
};

TEST_F(SharedMemoryCallTest, AnyClientMayShareMemory) {
  const auto memory = testing::MakeMemory(64);
  const testing::Mapping mapping(memory, 64);
  const float v[] = {0, 2, 2, 0};
  std::memcpy(mapping.as<char>() + 16, v, sizeof(v));
  v1::SpikeClusterResponse response;
  const absl::Status status =
      SpikeCluster(ClusterRequest(SharedTensor(v1::DATA_TYPE_FLOAT32, {4, 1}, Share(memory), 16, 16)), &response);
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_EQ(response.n_o().data(), std::string("\0\0\x80\x3f", 4));  // 1.0
  EXPECT_FALSE(response.n_o().has_shared());
}

TEST_F(SharedMemoryCallTest, APieceMayBeginAnywhere) {
  const auto memory = testing::MakeMemory(64);
  const testing::Mapping mapping(memory, 64);
  const float v[] = {0, 2, 2, 0};
  const std::string handle = Share(memory);
  for (int offset = 0; offset < 9; ++offset) {
    std::memcpy(mapping.as<char>() + offset, v, sizeof(v));
    v1::SpikeClusterResponse response;
    ASSERT_TRUE(
        SpikeCluster(ClusterRequest(SharedTensor(v1::DATA_TYPE_FLOAT32, {4, 1}, handle, offset, 16)), &response).ok());
    EXPECT_EQ(response.n_o().data(), std::string("\0\0\x80\x3f", 4)) << offset;
  }
}

TEST_F(SharedMemoryCallTest, OverTcpItIsRefused) {
  const std::string handle = Share(testing::MakeMemory(64));
  const auto request = ClusterRequest(SharedTensor(v1::DATA_TYPE_FLOAT32, {4, 1}, handle, 0, 16));
  v1::SpikeClusterResponse response;
  ASSERT_TRUE(SpikeCluster(request, &response).ok());
  const absl::Status status = SpikeCluster(request, &response, /*listener=*/1);
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(FieldOf(status), "v.shared");
  EXPECT_THAT(std::string(status.message()), AllOf(HasSubstr("--shared-memory"), HasSubstr("unix:")));
}

TEST_F(SharedMemoryCallTest, WithoutTheFlagItIsRefused) {
  StartServer(std::nullopt);
  EXPECT_FALSE(std::filesystem::exists(path_ + ".shm"));
  v1::SpikeClusterResponse response;
  const absl::Status status =
      SpikeCluster(ClusterRequest(SharedTensor(v1::DATA_TYPE_FLOAT32, {4, 1}, "handle", 0, 16)), &response);
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("--shared-memory"));
}

TEST_F(SharedMemoryCallTest, ATensorDeeperInTheRequestIsRefused) {
  v1::CreateNetworkRequest request;
  *request.add_layers()->mutable_linear()->mutable_weight() =
      SharedTensor(v1::DATA_TYPE_FLOAT32, {1, 1}, Share(testing::MakeMemory(4)), 0, 4);
  v1::CreateNetworkResponse response;
  grpc::ClientContext context;
  const absl::Status status =
      rpc::FromGrpc(v1::SpikeNetworkService::NewStub(grpc::CreateChannel(address_, grpc::InsecureChannelCredentials()))
                        ->CreateNetwork(&context, request, &response));
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(FieldOf(status), "layers[0].linear.weight.shared");
  EXPECT_THAT(std::string(status.message()), HasSubstr("a field of the request"));
}

TEST_F(SharedMemoryCallTest, GuessedHandlesFindNothing) {
  const std::string handle = Share(testing::MakeMemory(16));
  std::mt19937 random(1);
  for (int i = 0; i < 200; ++i) {
    std::string guess = handle;
    guess[random() % guess.size()] ^= static_cast<char>(1 << (random() % 8));
    v1::SpikeClusterResponse response;
    EXPECT_EQ(SpikeCluster(ClusterRequest(SharedTensor(v1::DATA_TYPE_FLOAT32, {4, 1}, guess, 0, 16)), &response).code(),
              absl::StatusCode::kNotFound);
  }
}

TEST_F(SharedMemoryCallTest, SharedElementsDoNotCountForTheMessage) {
  StartServer(shared_memory::Quota(), {.max_message_bytes = 100000});
  const auto client = Connect();
  Tensor v = client->NewTensor(DataType::kFloat32, {100, 1000});
  std::fill_n(v.values<float>().data(), v.size(), 0.0f);
  EXPECT_TRUE(client->SpikeCluster({.v = v, .v_threshold = 1.0f, .index_output = true}).ok());
  const auto sent = Client::Connect(address_)->SpikeCluster({.v = v, .v_threshold = 1.0f, .index_output = true});
  EXPECT_EQ(sent.status().code(), absl::StatusCode::kResourceExhausted);
}

TEST_F(SharedMemoryCallTest, SharedElementsCountAsDecoded) {
  StartServer(shared_memory::Quota(), {.max_decoded_bytes = 1 << 20});
  const std::string handle = Share(testing::MakeMemory(2 << 20));
  v1::SpikeClusterResponse response;
  EXPECT_EQ(
      SpikeCluster(ClusterRequest(SharedTensor(v1::DATA_TYPE_FLOAT32, {2, 1 << 18}, handle, 0, 2 << 20)), &response)
          .code(),
      absl::StatusCode::kResourceExhausted);
}

TEST_F(SharedMemoryCallTest, AClientGoesOnWithAServerThatWasRestarted) {
  const auto client = Connect();
  Tensor v = client->NewTensor(DataType::kFloat32, {4, 10000});
  const auto count = [&](float voltage) {
    std::fill_n(v.values<float>().data(), v.size(), voltage);
    const auto clusters = client->SpikeCluster({.v = v, .v_threshold = 1.0f, .index_output = true});
    EXPECT_TRUE(clusters.ok()) << clusters.status();
    return clusters.ok() ? clusters->n_o.values<float>()[9999] : -1;
  };
  EXPECT_EQ(count(2), 1);
  for (const bool shares : {true, false, true, true}) {
    StartServer(shares ? std::make_optional(shared_memory::Quota()) : std::nullopt);
    EXPECT_EQ(count(0), 0);
    EXPECT_EQ(count(2), 1);
    EXPECT_EQ(client->shared_memory_in_use(), shares);
  }
}

TEST_F(SharedMemoryCallTest, AsynchronousCallsMayShareToo) {
  const auto client = Connect();
  std::vector<std::future<absl::StatusOr<SpikeClusterResult>>> results;
  for (int i = 0; i < 20; ++i) {
    const RowMatrix<float> v = RowMatrix<float>::Constant(4, 10000, i % 2 == 0 ? 2.0f : 0.0f);
    results.push_back(client->Async(SpikeClusterArgs{.v = v, .v_threshold = 1.0f, .index_output = true}));
  }
  for (int i = 0; i < 20; ++i) {
    const auto clusters = results[i].get();
    ASSERT_TRUE(clusters.ok()) << clusters.status();
    EXPECT_EQ(clusters->n_o.values<float>()[5], i % 2 == 0 ? 1.0f : 0.0f);
  }
  EXPECT_TRUE(client->shared_memory_in_use());
}

TEST_F(SharedMemoryCallTest, TheSocketGoesWhenTheServerDrains) {
  EXPECT_TRUE(std::filesystem::is_socket(path_ + ".shm"));
  server_->Drain(absl::Seconds(10));
  EXPECT_FALSE(std::filesystem::exists(path_ + ".shm"));
}

TEST_F(SharedMemoryCallTest, ItNeedsAUnixListener) {
  rpc::ServerOptions options;
  options.listen = {"127.0.0.1:0"};
  options.shared_memory.emplace();
  const absl::Status status = rpc::Server::Start(options).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("--shared-memory: no --listen=unix:PATH; need"));
}

// Whatever the client does to its memory while the server reads it, the server stays within bounds, and results within
// their range. (Under AddressSanitizer a step outside ends the test.)
class RacingTest : public SharedMemoryCallTest {
 protected:
  ~RacingTest() override {
    stop_ = true;
    writer_.join();
  }

  // A tensor into which a thread keeps writing random bits.
  TensorView RacingTensor(DataType dtype, Shape shape) {
    tensor_ = client_->NewTensor(dtype, std::move(shape));
    writer_ = std::thread([this] {
      std::mt19937 random(3);
      auto* words = static_cast<volatile uint32_t*>(tensor_.data());
      const size_t count = static_cast<size_t>(tensor_.byte_size()) / sizeof(uint32_t);
      while (!stop_) {
        // Mostly of one kind, so that some calls get through their checks.
        const uint32_t kind = random() % 4;
        for (int i = 0; i < 1000; ++i) {
          Race(words[random() % count], kind == 0   ? 0
                                        : kind == 1 ? 0x3f800000
                                        : kind == 2 ? random() & 0x01010101
                                                    : random());
        }
      }
    });
    return tensor_;
  }

  // What the test is for, and so nothing that ThreadSanitizer is to report.
  [[gnu::noinline, gnu::no_sanitize_thread]] static void Race(volatile uint32_t& word, uint32_t value) { word = value; }

  // Calls until both the good and the bad came about, or often enough.
  template <typename Call>
  void Repeat(Call call) {
    for (int i = 0; i < 200; ++i) {
      const absl::Status status = call();
      EXPECT_TRUE(status.ok() || absl::IsInvalidArgument(status)) << status;
    }
    EXPECT_TRUE(client_->shared_memory_in_use());
  }

  absl::StatusOr<Client> client_ = Connect();
  Tensor tensor_;
  std::atomic<bool> stop_ = false;
  std::thread writer_;
};

constexpr int kSteps = 31;
constexpr int kNeurons = 1000;

TEST_F(RacingTest, SpikeCluster) {
  const TensorView v = RacingTensor(DataType::kFloat32, {kSteps, kNeurons});
  Repeat([&] {
    const auto result = client_->SpikeCluster({.v = v, .v_threshold = 1.0f, .index_output = true});
    if (result.ok()) {
      EXPECT_THAT(result->n_o.values<float>(), Each(AllOf(Ge(0), Le(kSteps))));
      EXPECT_THAT(result->k_positive.values<int32_t>(), Each(Lt(kSteps)));
      EXPECT_THAT(result->k_negative.values<int32_t>(), Each(Lt(kSteps)));
    }
    return result.status();
  });
}

TEST_F(RacingTest, SpikeClusterWithMasks) {
  const TensorView v = RacingTensor(DataType::kFloat64, {kSteps, kNeurons});
  Repeat([&] {
    return client_
        ->SpikeCluster({.v = v,
                        .v_threshold = 1.0,
                        .options = {.t_in = 3, .rule = ClusterRule::kDefinition},
                        .mask_dtype = DataType::kBit})
        .status();
  });
}

TEST_F(RacingTest, StcaLoss) {
  const TensorView v = RacingTensor(DataType::kFloat32, {kSteps, kNeurons});
  Repeat([&] {
    return client_->StcaLoss({.v = v, .v_threshold = 1.0f, .t_in = 2, .n_d = 1.0, .compute_gradient = true}).status();
  });
}

TEST_F(RacingTest, FirstSpikeIndexOfBits) {
  // 1001 bits: the last byte of each row is not whole.
  const TensorView spikes = RacingTensor(DataType::kBit, {600, 1001});
  Repeat([&] {
    const auto result = client_->FirstSpikeIndex({.spikes = spikes, .index_output = true});
    EXPECT_TRUE(result.ok()) << result.status();  // Any bits are spikes.
    if (result.ok()) {
      EXPECT_THAT(result->values<int32_t>(), Each(AllOf(Ge(-1), Lt(1001))));
    }
    return client_->FirstSpikeIndex({.spikes = spikes, .mask_dtype = DataType::kBit}).status();
  });
}

TEST_F(RacingTest, FunctionsThatGetACopy) {
  const TensorView bytes = RacingTensor(DataType::kUint8, {300, 400});
  const TensorView labels(DataType::kUint8, {300 * 400}, bytes.data());
  const TensorView floats(DataType::kFloat32, {300, 100}, bytes.data());
  const TensorView rows(DataType::kInt32, {300, 100}, bytes.data());
  Repeat([&] { return client_->FirstSpikeIndex({.spikes = bytes, .index_output = true}).status(); });
  Repeat([&] { return client_->FirstSpikeIndex({.spikes = floats}).status(); });
  Repeat([&] { return client_->RedundantOneHot({.labels = labels, .num_classes = 2, .n = 1}).status(); });
  Repeat([&] { return client_->ThresholdMargin({.label_one_hot = rows, .training = true}).status(); });
  Repeat([&] {
    return client_
        ->SpikeSimilarLoss({.spikes = TensorView(DataType::kFloat32, {20, 1000}, bytes.data()),
                            .labels = TensorView(DataType::kUint8, {20, 2}, bytes.data()),
                            .kernel = LinearKernel{}})
        .status();
  });
}

TEST_F(RacingTest, Networks) {
  const TensorView input = RacingTensor(DataType::kFloat32, {5, 100, 50});
  auto network = client_->CreateNetwork({{.kind = IfNode{}}});
  ASSERT_TRUE(network.ok());
  Repeat([&] { return network->Forward({.input = input}).status(); });
}

TEST_F(SharedMemoryCallTest, AClientThatIsKilledInTheMiddleOfCallsLeavesNothingBehind) {
  const int descriptors = testing::OpenDescriptors();
  const int mappings = testing::MemoryMappings();
  for (int round = 0; round < 5; ++round) {
    testing::ChildProcess victim(SPIKESERVE_VICTIM, {address_});
    EXPECT_EQ(victim.ReadLine(), "sharing");
    EXPECT_GT(testing::MemoryMappings(), mappings);
    std::this_thread::sleep_for(std::chrono::milliseconds(7 * round));
    EXPECT_EQ(victim.End(SIGKILL), -SIGKILL);
  }
  while (testing::MemoryMappings() != mappings || testing::OpenDescriptors() > descriptors) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  const auto client = Connect();
  Tensor v = client->NewTensor(DataType::kFloat32, {10, 10000});
  EXPECT_TRUE(client->SpikeCluster({.v = v, .v_threshold = 1.0f, .index_output = true}).status().ok());
}

}  // namespace
}  // namespace spikeserve

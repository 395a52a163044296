// What the tests of calls that name shared memory share: a connection whose inner one answers as it is told, beside the
// server's own store of memory.

#ifndef SPIKESERVE_TESTS_CLIENT_SHARED_MEMORY_CONNECTION_TESTING_H_
#define SPIKESERVE_TESTS_CLIENT_SHARED_MEMORY_CONNECTION_TESTING_H_

#include <unistd.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "connection.h"
#include "gtest/gtest.h"
#include "rpc_traits.h"
#include "shared_memory/handover_server.h"
#include "shared_memory/shared_tensors.h"
#include "spikeserve/client/client.h"
#include "spikeserve/compute/field_error.h"
#include "spikeserve/v1/functions.pb.h"
#include "support/test_folder.h"

namespace spikeserve {

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
    codec::Outgoing<v1::SpikeClusterRequest> request(inner_->buffers());
    request.AddReference(v1::SpikeClusterRequest::kVFieldNumber,
                         TensorView(DataType::kUint8, {static_cast<int64_t>(size)}, data), owner_);
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
  const codec::TensorField& V(size_t n) { return *inner_->requests.at(n).Find(v1::SpikeClusterRequest::kVFieldNumber); }
  // The bytes that the server finds for it.
  std::string Resolved(const codec::Envelope& request) {
    codec::Envelope copy = request.Share();
    const absl::Status status = shared_memory::Resolve(copy, *store_, INT64_MAX);
    EXPECT_TRUE(status.ok()) << status;
    const codec::TensorField& v = *copy.Find(v1::SpikeClusterRequest::kVFieldNumber);
    return std::string(v.data.view());
  }
  shared_memory::RegionStore::Usage usage() const { return store_->UsageOf(getuid()); }

  static absl::Status Unknown() { return FieldError(absl::StatusCode::kNotFound, "v.shared.handle", "x", "y"); }

  const testing::TestFolder folder_;
  const std::string path_ = folder_.Path("socket");
  std::shared_ptr<shared_memory::RegionStore> store_;
  std::unique_ptr<shared_memory::HandoverServer> server_;
  std::shared_ptr<Inner> inner_ = std::make_shared<Inner>();
  std::shared_ptr<Connection> connection_;
  std::shared_ptr<const void> owner_ = std::make_shared<int>();
  codec::Envelope response_;
};

}  // namespace spikeserve

#endif  // SPIKESERVE_TESTS_CLIENT_SHARED_MEMORY_CONNECTION_TESTING_H_

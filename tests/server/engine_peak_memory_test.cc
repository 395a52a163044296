// What calls really take of the machine's memory, as the system counts it: about what they are known to take, also
// where a few bytes say that they are millions of short rows.

#include <cstdint>
#include <fstream>
#include <initializer_list>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/strip.h"
#include "gtest/gtest.h"
#include "server/engine_testing.h"
#include "spikeserve/v1/functions.pb.h"
#include "spikeserve/v1/networks.pb.h"

namespace spikeserve::server {
namespace {

constexpr int64_t kMiB = int64_t{1} << 20;

// A line of /proc/self/status, in bytes.
int64_t StatusBytes(absl::string_view name) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    absl::string_view rest = line;
    int64_t kilobytes;
    if (absl::ConsumePrefix(&rest, name) && absl::ConsumeSuffix(&rest, " kB") && absl::SimpleAtoi(rest, &kilobytes)) {
      return kilobytes * 1024;
    }
  }
  return -1;
}

void SetShape(v1::DataType dtype, std::initializer_list<int64_t> shape, v1::Tensor& tensor) {
  tensor.set_dtype(dtype);
  tensor.mutable_shape()->Assign(shape.begin(), shape.end());
}

class EnginePeakMemory : public ::testing::Test {
 protected:
  static constexpr int64_t kLimit = 64 * kMiB;

  void SetUp() override {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    GTEST_SKIP() << "sanitizers take memory of their own";
#endif
    std::ofstream reset("/proc/self/clear_refs");
    if (!(reset << "5" << std::flush)) GTEST_SKIP() << "the system does not count peaks anew";
    before_ = StatusBytes("VmRSS:");
    ASSERT_GT(before_, 0);
  }

  static EngineOptions Options() {
    EngineOptions options;
    options.threads = 2;
    options.limits.max_bytes_in_flight = kLimit;
    options.limits.max_network_bytes = kLimit;
    return options;
  }

  EnvelopeOr Perform(const char* path, const google::protobuf::Message& message) {
    const auto request = Enveloped(message);
    Call call = MakeCall(request, nullptr);
    call.path = path;
    call.request_bytes = 100;
    return server::Perform(engine_, std::move(call));
  }

  // The most that was taken so far.
  int64_t Peak() const { return StatusBytes("VmHWM:") - before_; }

  Engine engine_{Options()};

 private:
  int64_t before_ = 0;
};

TEST_F(EnginePeakMemory, OfProductsOfManyShortRowsIsWhatIsInFlight) {
  for (const int64_t rows : {int64_t{1} << 20, int64_t{1} << 21, int64_t{1} << 23}) {
    v1::KernelDotProductRequest request;
    request.mutable_kernel()->mutable_linear();
    SetShape(v1::DATA_TYPE_FLOAT32, {0, 1}, *request.mutable_x());
    SetShape(v1::DATA_TYPE_BOOL, {rows, 1}, *request.mutable_y());
    const absl::Status status = Perform(kPath, request).status();
    EXPECT_EQ(status.ok(), rows < 1 << 23) << status;
  }
  EXPECT_LT(Peak(), 2 * kLimit);
}

TEST_F(EnginePeakMemory, OfGradientsOfProductsIsWhatIsInFlight) {
  v1::KernelDotProductVjpRequest request;
  request.mutable_kernel()->mutable_linear();
  constexpr char kVjp[] = "/spikeserve.v1.SpikeFunctionService/KernelDotProductVjp";
  for (const int64_t rows : {int64_t{1} << 18, int64_t{1} << 22}) {
    SetShape(v1::DATA_TYPE_FLOAT32, {1, 0}, *request.mutable_x());
    SetShape(v1::DATA_TYPE_FLOAT32, {rows, 0}, *request.mutable_y());
    SetShape(v1::DATA_TYPE_BOOL, {1, rows}, *request.mutable_grad_output());
    const absl::Status status = Perform(kVjp, request).status();
    EXPECT_EQ(status.ok(), rows < 1 << 22) << status;
  }
  EXPECT_LT(Peak(), 2 * kLimit);
}

TEST_F(EnginePeakMemory, OfATraceOfManySmallStepsIsWhatTheNetworkIsSaidToTake) {
  v1::CreateNetworkRequest create;
  v1::Tensor& weight = *create.add_layers()->mutable_linear()->mutable_weight();
  SetShape(v1::DATA_TYPE_FLOAT32, {1, 1}, weight);
  weight.add_values(1);
  const EnvelopeOr created = Perform("/spikeserve.v1.SpikeNetworkService/CreateNetwork", create);
  ASSERT_TRUE(created.ok()) << created.status();
  v1::ForwardRequest forward;
  forward.set_network(static_cast<const v1::CreateNetworkResponse&>(*created->message).network());
  forward.set_keep_trace(true);
  SetShape(v1::DATA_TYPE_BOOL, {1 << 21, 1, 1}, *forward.mutable_input());
  const absl::Status status = Perform("/spikeserve.v1.SpikeNetworkService/Forward", forward).status();
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_LT(Peak(), 2 * kLimit);
}

}  // namespace
}  // namespace spikeserve::server

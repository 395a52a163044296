// Calls that are sent in pieces come to the same as calls that are one message.

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "grpcpp/grpcpp.h"
#include "gtest/gtest.h"
#include "spikeserve/v1/streams.grpc.pb.h"
#include "suites/transport.h"

namespace spikeserve::testing {
namespace {

using ::testing::HasSubstr;

// A server, a client that sends everything in pieces, and one that computes in process.
class StreamSuite : public ::testing::TestWithParam<TransportKind> {
 protected:
  StreamSuite()
      : transport_(GetParam(), Options()), streaming_(ConnectStreaming(transport_)), whole_(*Client::InProcess()) {}

  static Client ConnectStreaming(const Transport& transport) {
    ConnectOptions options = transport.connect_options();
    options.stream_above_bytes = 0;
    return *Client::Connect(transport.address(), options);
  }

  static server::EngineOptions Options() {
    server::EngineOptions options;
    options.limits.max_message_bytes = 4 << 20;
    return options;
  }

  RowMatrix<float> Random(int64_t rows, int64_t cols) {
    std::normal_distribution<float> normal(0.5f, 0.5f);
    return RowMatrix<float>::NullaryExpr(rows, cols, [&] { return normal(random_); });
  }

  RowMatrix<uint8_t> RandomSpikes(int64_t rows, int64_t cols) {
    return RowMatrix<uint8_t>::NullaryExpr(rows, cols, [&] { return random_() % 10 == 0; });
  }

  static void ExpectSame(const Tensor& a, const Tensor& b) {
    EXPECT_EQ(a.dtype(), b.dtype());
    ASSERT_EQ(a.shape(), b.shape());
    EXPECT_EQ(std::memcmp(a.data(), b.data(), static_cast<size_t>(a.byte_size())), 0);
  }

  std::mt19937 random_{11};
  Transport transport_;
  Client streaming_;
  Client whole_;
};

TEST_P(StreamSuite, SpikeClusterOfPiecesIsThatOfTheWhole) {
  // Pieces of one and of many rows; 33 MB are far more than the server takes as a message.
  for (const auto& [steps, neurons] : {std::pair{1, 1}, {7, 3}, {700, 1000}, {9, 300000}, {20000, 400}}) {
    const RowMatrix<float> v = Random(steps, neurons);
    for (const int64_t t_in : {0, 2, 50}) {
      for (const auto& [mask_dtype, index_output] :
           {std::pair{DataType::kBool, false}, {DataType::kBit, false}, {DataType::kBool, true}}) {
        if (v.size() > 2000000 && (t_in != 2 || mask_dtype == DataType::kBool)) continue;
        const SpikeClusterArgs args{.v = v,
                                    .v_threshold = 1.0f,
                                    .options = {.t_in = t_in},
                                    .mask_dtype = mask_dtype,
                                    .index_output = index_output};
        const auto pieces = streaming_.SpikeCluster(args);
        const auto whole = whole_.SpikeCluster(args);
        ASSERT_TRUE(pieces.ok()) << pieces.status();
        ASSERT_TRUE(whole.ok()) << whole.status();
        ExpectSame(pieces->n_o, whole->n_o);
        ExpectSame(pieces->k_positive, whole->k_positive);
        ExpectSame(pieces->k_negative, whole->k_negative);
      }
    }
  }
}

TEST_P(StreamSuite, SpikeClusterKnowsTheMinimumOfAllPieces) {
  // The second neuron's only candidate equals the minimum, which comes in the last piece.
  RowMatrix<double> v = RowMatrix<double>::Constant(3000, 200, 2.0);
  v(5, 1) = -1;
  v(2999, 0) = -1;
  const SpikeClusterArgs args{.v = v, .v_threshold = 1.0, .options = {.t_in = 0}, .index_output = true};
  const auto pieces = streaming_.SpikeCluster(args);
  const auto whole = whole_.SpikeCluster(args);
  ASSERT_TRUE(pieces.ok()) << pieces.status();
  ASSERT_TRUE(whole.ok());
  EXPECT_EQ(whole->k_positive.values<int32_t>()[1], -1);
  ExpectSame(pieces->k_positive, whole->k_positive);
}

TEST_P(StreamSuite, FirstSpikeIndexOfPiecesIsThatOfTheWhole) {
  for (const auto& [rows, steps] : {std::pair{1, 1}, {3, 17}, {90000, 100}, {5, 300000}}) {
    const RowMatrix<uint8_t> spikes = RandomSpikes(rows, steps);
    const TensorView view(absl::Span<const uint8_t>(spikes.data(), spikes.size()), {rows, 1, steps});
    for (const auto& [mask_dtype, index_output] :
         {std::pair{DataType::kBool, false}, {DataType::kBit, false}, {DataType::kBool, true}}) {
      const FirstSpikeIndexArgs args{.spikes = view, .mask_dtype = mask_dtype, .index_output = index_output};
      const auto pieces = streaming_.FirstSpikeIndex(args);
      const auto whole = whole_.FirstSpikeIndex(args);
      ASSERT_TRUE(pieces.ok()) << pieces.status();
      ExpectSame(*pieces, *whole);
    }
  }
}

TEST_P(StreamSuite, KernelDotProductOfPiecesIsThatOfTheWhole) {
  const RowMatrix<uint8_t> spikes_x = RandomSpikes(900, 700), spikes_y = RandomSpikes(400, 700);
  const RowMatrix<float> floats_x = Random(900, 700), floats_y = Random(400, 700);
  const RowMatrix<double> doubles = floats_y.cast<double>();
  const std::vector<TensorView> xs = {spikes_x, floats_x};
  const std::vector<TensorView> ys = {spikes_y, floats_y, doubles};
  const auto near = [](const Tensor& a, const Tensor& b) {
    ASSERT_EQ(a.shape(), b.shape());
    ASSERT_EQ(a.dtype(), b.dtype());
    const std::vector<double> got = a.ToDoubles(), want = b.ToDoubles();
    for (size_t i = 0; i < got.size(); ++i) ASSERT_NEAR(got[i], want[i], 1e-5 * (1 + std::abs(want[i]))) << i;
  };
  for (const Kernel& kernel : {Kernel(LinearKernel{}), Kernel(GaussianKernel{20})}) {
    for (const TensorView& x : xs) {
      const KernelDotProductArgs self{.x = x, .kernel = kernel};
      const auto pieces = streaming_.KernelDotProduct(self);
      ASSERT_TRUE(pieces.ok()) << pieces.status();
      near(*pieces, *whole_.KernelDotProduct(self));
      for (const TensorView& y : ys) {
        const KernelDotProductArgs both{.x = x, .y = y, .kernel = kernel};
        const auto of_both = streaming_.KernelDotProduct(both);
        ASSERT_TRUE(of_both.ok()) << of_both.status();
        near(*of_both, *whole_.KernelDotProduct(both));
      }
    }
  }
}

TEST_P(StreamSuite, SpikeSimilarLossOfPiecesIsThatOfTheWhole) {
  const int64_t samples = 90;
  const RowMatrix<uint8_t> labels = RandomSpikes(samples, 6);
  const RowMatrix<uint8_t> spikes = RandomSpikes(samples, 30000);
  const RowMatrix<float> floats = Random(samples, 3003);
  Tensor bits(DataType::kBit, {samples, 100003});
  for (int64_t b = 0; b < bits.byte_size(); ++b) static_cast<uint8_t*>(bits.data())[b] = random_() & random_() & 0xff;
  Tensor cube(DataType::kBit, {samples, 9, 11});
  for (int64_t b = 0; b < cube.byte_size(); ++b) static_cast<uint8_t*>(cube.data())[b] = random_() & 0xff;
  for (const TensorView& view : {TensorView(spikes), TensorView(floats), TensorView(bits), TensorView(cube)}) {
    for (const Kernel& kernel : {Kernel(LinearKernel{}), Kernel(GaussianKernel{60})}) {
      for (const bool compute_gradient : {false, true}) {
        const SpikeSimilarLossArgs args{
            .spikes = view, .labels = labels, .kernel = kernel, .compute_gradient = compute_gradient};
        const auto pieces = streaming_.SpikeSimilarLoss(args);
        const auto whole = whole_.SpikeSimilarLoss(args);
        ASSERT_TRUE(pieces.ok()) << pieces.status();
        ASSERT_TRUE(whole.ok()) << whole.status();
        EXPECT_NEAR(pieces->loss, whole->loss, 1e-6 * (1 + whole->loss));
        ASSERT_EQ(pieces->grad_spikes.has_value(), compute_gradient);
        if (!compute_gradient) continue;
        ASSERT_EQ(pieces->grad_spikes->shape(), whole->grad_spikes->shape());
        const auto got = pieces->grad_spikes->values<float>(), want = whole->grad_spikes->values<float>();
        const float largest = *std::max_element(want.begin(), want.end());
        for (size_t i = 0; i < got.size(); ++i) ASSERT_NEAR(got[i], want[i], 1e-5 * largest) << i;
      }
    }
  }
}

TEST_P(StreamSuite, ABadPieceIsRefusedAsInAWholeMessage) {
  RowMatrix<float> v = Random(3000, 200);
  v(2500, 7) = std::numeric_limits<float>::quiet_NaN();
  const auto nan = streaming_.SpikeCluster({.v = v, .v_threshold = 1.0f});
  EXPECT_EQ(nan.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(nan.status().message()), HasSubstr("v: NaN at step 2500 of neuron 7"));

  RowMatrix<uint8_t> spikes = RandomSpikes(50000, 100);
  spikes(40000, 3) = 2;
  const auto two = streaming_.FirstSpikeIndex({.spikes = spikes});
  EXPECT_EQ(two.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(two.status().message()), HasSubstr("0 or 1"));

  const auto length = streaming_.SpikeCluster({.v = Random(10, 3), .v_threshold = std::vector<float>(2)});
  EXPECT_EQ(length.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(length.status().message()), HasSubstr("v_threshold: 2 elements"));
  EXPECT_TRUE(whole_.SpikeCluster({.v = Random(10, 3), .v_threshold = 1.0f}).ok());
}

TEST_P(StreamSuite, AnOperandThatIsTooLargeToBeKeptIsRefusedAndTheFlagIsNamed) {
  server::EngineOptions options;
  options.limits.max_decoded_bytes = 2 << 20;
  Transport small(GetParam(), options);
  const Client client = ConnectStreaming(small);
  const RowMatrix<float> x = Random(3000, 400);
  const auto kept = client.KernelDotProduct({.x = x, .kernel = LinearKernel{}});
  EXPECT_EQ(kept.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(kept.status().message()), HasSubstr("--max-decoded-bytes"));
  // What is not kept may be of any size, but for the last t_in steps.
  EXPECT_TRUE(client.SpikeCluster({.v = x, .v_threshold = 1.0f, .options = {.t_in = 2}}).ok());
  const auto steps = client.SpikeCluster({.v = x, .v_threshold = 1.0f, .options = {.t_in = 2000}});
  EXPECT_EQ(steps.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(steps.status().message()), HasSubstr("t_in"));
}

// A stream whose messages are written by hand.
class RawStream {
 public:
  explicit RawStream(const Transport& transport)
      : stub_(v1::SpikeStreamService::NewStub(transport.NewChannel())), stream_(stub_->StreamSpikeCluster(&context_)) {}

  bool Send(const v1::StreamSpikeClusterRequest& request) { return stream_->Write(request); }
  grpc::Status End() {
    stream_->WritesDone();
    v1::StreamSpikeClusterResponse response;
    while (stream_->Read(&response)) ++responses;
    return stream_->Finish();
  }

  int responses = 0;

 private:
  grpc::ClientContext context_;
  std::unique_ptr<v1::SpikeStreamService::Stub> stub_;
  std::unique_ptr<grpc::ClientReaderWriter<v1::StreamSpikeClusterRequest, v1::StreamSpikeClusterResponse>> stream_;
};

v1::StreamSpikeClusterRequest Piece(std::vector<int64_t> shape, v1::DataType dtype = v1::DATA_TYPE_FLOAT32) {
  v1::StreamSpikeClusterRequest request;
  request.mutable_v()->set_dtype(dtype);
  int64_t count = 1;
  for (const int64_t length : shape) {
    request.mutable_v()->add_shape(length);
    count *= length;
  }
  for (int64_t i = 0; i < count; ++i) request.mutable_v()->add_values(static_cast<double>(i % 3));
  return request;
}

v1::StreamSpikeClusterRequest Open(v1::StreamSpikeClusterRequest request) {
  request.mutable_open()->mutable_v_threshold()->set_dtype(v1::DATA_TYPE_FLOAT32);
  request.mutable_open()->mutable_v_threshold()->add_values(1);
  return request;
}

TEST_P(StreamSuite, MessagesThatDoNotBelongTogetherAreRefusedAndNamed) {
  const auto expect = [&](const std::vector<v1::StreamSpikeClusterRequest>& messages, const char* text) {
    RawStream stream(transport_);
    for (const auto& message : messages) stream.Send(message);
    const grpc::Status status = stream.End();
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT) << text;
    EXPECT_THAT(status.error_message(), HasSubstr(text));
    EXPECT_EQ(stream.responses, 0);
  };
  expect({Piece({2, 3})}, "open: absent");
  expect({Open(Piece({2, 3})), Open(Piece({2, 3}))}, "open: set again");
  expect({Open({})}, "v: absent");
  expect({}, "v: absent");
  expect({Open(Piece({2, 3})), Piece({2, 4})}, "v:");
  expect({Open(Piece({2, 3})), Piece({2, 3}, v1::DATA_TYPE_FLOAT64)}, "v.dtype");
  expect({Open(Piece({6}))}, "v.shape");
}

TEST_P(StreamSuite, AStreamWithoutRowsHasNoNeuronThatFires) {
  RawStream stream(transport_);
  stream.Send(Open(Piece({0, 3})));
  EXPECT_TRUE(stream.End().ok());
  EXPECT_EQ(stream.responses, 1);
}

TEST_P(StreamSuite, AClientThatGivesUpInTheMiddleLeavesTheServerServing) {
  for (int i = 0; i < 20; ++i) {
    const auto stub = v1::SpikeStreamService::NewStub(transport_.NewChannel());
    grpc::ClientContext context;
    const auto stream = stub->StreamSpikeCluster(&context);
    stream->Write(Open(Piece({100, 50})));
    for (int more = 0; more < i; ++more) stream->Write(Piece({100, 50}));
    context.TryCancel();
    EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::CANCELLED);
  }
  EXPECT_TRUE(streaming_.SpikeCluster({.v = Random(10, 3), .v_threshold = 1.0f}).ok());
}

INSTANTIATE_TEST_SUITE_P(Over, StreamSuite,
                         ::testing::Values(TransportKind::kTcp, TransportKind::kUds, TransportKind::kTls),
                         [](const ::testing::TestParamInfo<TransportKind>& info) { return ToString(info.param); });

}  // namespace
}  // namespace spikeserve::testing

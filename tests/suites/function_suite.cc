// The functions over every transport: the golden cases, and what the calls promise besides.

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lib/compute_test_util.h"
#include "lib/naive_kernel_vjp.h"
#include "suites/transport.h"
#include "support/golden.h"

namespace spikeserve::testing {
namespace {

using ::testing::ElementsAre;

class FunctionSuite : public TransportTest {};
SPIKESERVE_OVER_ALL_TRANSPORTS(FunctionSuite);

void ExpectSame(const Tensor& got, const Tensor& want, const std::string& what) {
  EXPECT_EQ(got.dtype(), want.dtype()) << what;
  EXPECT_EQ(got.shape(), want.shape()) << what;
  EXPECT_EQ(got.ToDoubles(), want.ToDoubles()) << what;
}

// To float32 rounding; the compute library's own tests hold the tight bound.
void ExpectClose(const Tensor& got, const Tensor& want, const std::string& what) {
  EXPECT_EQ(got.shape(), want.shape()) << what;
  const std::vector<double> a = got.ToDoubles(), b = want.ToDoubles();
  ASSERT_EQ(a.size(), b.size()) << what;
  for (size_t i = 0; i < a.size(); ++i) {
    ASSERT_NEAR(a[i], b[i], 1e-6 + 2e-5 * std::abs(b[i])) << what << " element " << i;
  }
}

Kernel KernelOf(const GoldenCase& c, const std::string& key) {
  const std::string kind = c.params[key];
  if (kind == "polynomial") return PolynomialKernel{c.params["d"]};
  if (kind == "sigmoid") return SigmoidKernel{c.params["alpha"]};
  if (kind == "gaussian") return GaussianKernel{c.params["sigma"]};
  return LinearKernel{};
}

// The threshold of a spike_cluster case: a number, or one for each neuron.
TensorView ThresholdOf(const GoldenCase& c) {
  const auto it = c.inputs.find("v_threshold");
  return it == c.inputs.end() ? TensorView(c.params["v_threshold"].get<float>()) : TensorView(it->second);
}

TEST_P(FunctionSuite, SpikeClusterAgreesWithTheGoldenCases) {
  for (const GoldenCase& c : GoldenCases("spike_cluster")) {
    const auto result = client().SpikeCluster(
        {.v = c.inputs.at("v"), .v_threshold = ThresholdOf(c), .options = {.t_in = c.params["t_in"]}});
    ASSERT_TRUE(result.ok()) << c.name << ": " << result.status();
    ExpectSame(result->n_o, c.outputs.at("n_o"), c.name);
    ExpectSame(result->k_positive, c.outputs.at("k_positive"), c.name);
    ExpectSame(result->k_negative, c.outputs.at("k_negative"), c.name);
  }
}

TEST_P(FunctionSuite, StcaLossAgreesWithTheGoldenCases) {
  for (const GoldenCase& c : GoldenCases("spike_cluster")) {
    const auto result = client().StcaLoss({.v = c.inputs.at("v"),
                                           .v_threshold = ThresholdOf(c),
                                           .t_in = c.params["t_in"],
                                           .n_d = c.inputs.at("n_d"),
                                           .compute_gradient = true});
    ASSERT_TRUE(result.ok()) << c.name << ": " << result.status();
    const double want = c.outputs.at("stca_loss_at_step").ToDoubles()[0];
    EXPECT_NEAR(result->loss, want, 1e-5 + 1e-5 * std::abs(want)) << c.name;
    ExpectSame(result->n_o, c.outputs.at("n_o"), c.name);
    ASSERT_TRUE(result->grad_v.has_value());
    ExpectSame(*result->grad_v, c.outputs.at("stca_grad_at_step"), c.name);
  }
}

TEST_P(FunctionSuite, KernelDotProductAgreesWithTheGoldenCases) {
  for (const GoldenCase& c : GoldenCases("kernel_dot_product")) {
    const auto result = client().KernelDotProduct(
        {.x = c.inputs.at("x"), .y = TensorView(c.inputs.at("y")), .kernel = KernelOf(c, "kernel")});
    ASSERT_TRUE(result.ok()) << c.name << ": " << result.status();
    ExpectClose(*result, c.outputs.at("ret"), c.name);
  }
}

TEST_P(FunctionSuite, KernelDotProductWithoutYTakesX) {
  const RowMatrix<float> x = RowMatrix<float>::Random(5, 7);
  const auto without = client().KernelDotProduct({.x = x, .kernel = LinearKernel{}});
  const auto with = client().KernelDotProduct({.x = x, .y = TensorView(x), .kernel = LinearKernel{}});
  ASSERT_TRUE(without.ok() && with.ok());
  ExpectClose(*without, *with, "x x^T");
}

TEST_P(FunctionSuite, KernelDotProductOfFloat64IsFloat64) {
  const RowMatrix<double> x = RowMatrix<double>::Random(3, 4);
  const auto result = client().KernelDotProduct({.x = x, .kernel = LinearKernel{}});
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->dtype(), DataType::kFloat64);
  EXPECT_TRUE(result->matrix<double>().isApprox(x * x.transpose(), 1e-14));
}

// Terms of a gradient cancel, so that even its exact value is not close to the reference's in every element.
TEST_P(FunctionSuite, KernelDotProductVjpAgreesWithTheGoldenCases) {
  int compared = 0;
  for (const GoldenCase& c : GoldenCases("kernel_dot_product")) {
    if (!c.outputs.contains("grad_x")) continue;
    SCOPED_TRACE(c.name);
    const Tensor &x = c.inputs.at("x"), &y = c.inputs.at("y"), &grad_output = c.inputs.at("grad_output");
    const Kernel kernel = KernelOf(c, "kernel");
    const auto result =
        client().KernelDotProductVjp({.x = x, .y = TensorView(y), .kernel = kernel, .grad_output = grad_output});
    ASSERT_TRUE(result.ok()) << result.status();
    ASSERT_TRUE(result->grad_y.has_value());
    const auto exact = NaiveKernelVjp<float>(x.matrix<float>(), y.matrix<float>(), kernel, grad_output.matrix<float>());
    const auto expect = [&](const Tensor& got, const Tensor& reference, const RowMatrix<double>& exact) {
      ASSERT_EQ(got.dtype(), DataType::kFloat32);
      ASSERT_EQ(got.shape(), reference.shape());
      for (Eigen::Index i = 0; i < exact.size(); ++i) {
        ASSERT_TRUE(IsWithinTolerance(got.values<float>()[i], reference.values<float>()[i], exact.data()[i])) << i;
      }
      ++compared;
    };
    expect(result->grad_x, c.outputs.at("grad_x"), exact.x);
    expect(*result->grad_y, c.outputs.at("grad_y"), exact.y);
  }
  EXPECT_EQ(compared, 56);
}

TEST_P(FunctionSuite, KernelDotProductVjpWithoutYIsTheGradientOfBothPlacesOfX) {
  const RowMatrix<float> x = RowMatrix<float>::Random(5, 7), grad_output = RowMatrix<float>::Random(5, 5);
  for (const Kernel& kernel : {Kernel(LinearKernel{}), Kernel(GaussianKernel{2})}) {
    const auto without = client().KernelDotProductVjp({.x = x, .kernel = kernel, .grad_output = grad_output});
    const auto with =
        client().KernelDotProductVjp({.x = x, .y = TensorView(x), .kernel = kernel, .grad_output = grad_output});
    ASSERT_TRUE(without.ok() && with.ok());
    EXPECT_FALSE(without->grad_y.has_value());
    const RowMatrix<float> sum = with->grad_x.matrix<float>() + with->grad_y->matrix<float>();
    EXPECT_LE((without->grad_x.matrix<float>() - sum).cwiseAbs().maxCoeff(), 1e-6f);
  }
}

TEST_P(FunctionSuite, KernelDotProductVjpIsFloat64WhereAnOperandIs) {
  const RowMatrix<float> x = RowMatrix<float>::Random(3, 4), y = RowMatrix<float>::Random(2, 4);
  const RowMatrix<float> grad = RowMatrix<float>::Random(3, 2);
  const RowMatrix<double> x2 = x.cast<double>(), y2 = y.cast<double>(), grad2 = grad.cast<double>();
  const std::vector<uint8_t> spikes = {0, 1, 1, 0, 1, 0, 0, 1, 1, 1, 1, 0};
  const auto call = [&](const TensorView& x, const TensorView& y, const TensorView& grad) {
    auto result = client().KernelDotProductVjp({.x = x, .y = y, .kernel = LinearKernel{}, .grad_output = grad});
    EXPECT_TRUE(result.ok()) << result.status();
    EXPECT_EQ(result->grad_x.dtype(), result->grad_y->dtype());
    return *std::move(result);
  };
  EXPECT_EQ(call(x, y, grad).grad_x.dtype(), DataType::kFloat32);
  EXPECT_EQ(call(TensorView(absl::MakeConstSpan(spikes), {3, 4}), y, grad).grad_x.dtype(), DataType::kFloat32);
  EXPECT_EQ(call(x2, y, grad).grad_x.dtype(), DataType::kFloat64);
  EXPECT_EQ(call(x, y2, grad).grad_x.dtype(), DataType::kFloat64);
  const auto wide = call(x, y, grad2);
  EXPECT_TRUE(wide.grad_x.matrix<double>().isApprox(grad2 * y2, 1e-14));
  EXPECT_TRUE(wide.grad_y->matrix<double>().isApprox(grad2.transpose() * x2, 1e-14));
}

TEST_P(FunctionSuite, SpikeSimilarLossAgreesWithTheGoldenCases) {
  for (const GoldenCase& c : GoldenCases("spike_similar_loss")) {
    const std::string type = c.params["loss_type"];
    const auto result = client().SpikeSimilarLoss({.spikes = c.inputs.at("spikes"),
                                                   .labels = c.inputs.at("labels"),
                                                   .kernel = KernelOf(c, "kernel_type"),
                                                   .loss_type = type == "mse"  ? LossType::kMse
                                                                : type == "l1" ? LossType::kL1
                                                                               : LossType::kBce,
                                                   .compute_gradient = true});
    if (c.params["kernel_type"] == "polynomial" && type == "bce") {
      EXPECT_EQ(result.status().code(), absl::StatusCode::kInvalidArgument) << c.name;
      continue;
    }
    ASSERT_TRUE(result.ok()) << c.name << ": " << result.status();
    if (c.outputs.empty()) continue;  // The reference refuses the rounding that the service clamps.
    const double want = c.outputs.at("loss").ToDoubles()[0];
    EXPECT_NEAR(result->loss, want, 1e-6 + 1e-5 * std::abs(want)) << c.name;
    ASSERT_TRUE(result->grad_spikes.has_value());
    // The compute library's test tells where float32 loses the gradient of bce.
    if (c.outputs.count("grad_spikes") && type != "bce")
      ExpectClose(*result->grad_spikes, c.outputs.at("grad_spikes"), c.name);
  }
}

TEST_P(FunctionSuite, RedundantOneHotAgreesWithTheGoldenCases) {
  for (const GoldenCase& c : GoldenCases("redundant_one_hot")) {
    const auto result = client().RedundantOneHot(
        {.labels = c.inputs.at("labels"), .num_classes = c.params["num_classes"], .n = c.params["n"]});
    ASSERT_TRUE(result.ok()) << c.name << ": " << result.status();
    ExpectSame(*result, c.outputs.at("codes"), c.name);
  }
}

TEST_P(FunctionSuite, FirstSpikeIndexAgreesWithTheGoldenCases) {
  for (const GoldenCase& c : GoldenCases("first_spike_index")) {
    const auto result = client().FirstSpikeIndex({.spikes = c.inputs.at("spikes")});
    ASSERT_TRUE(result.ok()) << c.name << ": " << result.status();
    ExpectSame(*result, c.outputs.at("index"), c.name);
  }
}

TEST_P(FunctionSuite, ThresholdMarginAgreesWithTheGoldenCases) {
  for (const GoldenCase& c : GoldenCases("set_threshold_margin")) {
    const auto result = client().ThresholdMargin({.label_one_hot = c.inputs.at("label_one_hot"),
                                                  .training = c.params["training"],
                                                  .options = {.eval_threshold = c.params["eval_threshold"],
                                                              .threshold0 = c.params["threshold0"],
                                                              .threshold1 = c.params["threshold1"]}});
    ASSERT_TRUE(result.ok()) << c.name << ": " << result.status();
    ExpectSame(*result, c.outputs.at("v_threshold"), c.name);
  }
}

TEST_P(FunctionSuite, TensorsArePassedInSharedMemoryWhereTheClientIsTold) {
  Tensor v = client().NewTensor(DataType::kFloat32, {3, 2});
  std::fill_n(v.values<float>().data(), 6, 2.0f);
  ASSERT_TRUE(client().SpikeCluster({.v = v, .v_threshold = 1.0f}).ok());
  EXPECT_EQ(client().shared_memory_in_use(), GetParam() == TransportKind::kSharedMemory);
}

TEST_P(FunctionSuite, ATensorOfTheClientMayBeUsedAgainAndAgain) {
  Tensor v = client().NewTensor(DataType::kFloat64, {2, 30000});
  for (const double voltage : {0.5, 1.0, 0.75}) {
    std::fill_n(v.values<double>().data(), v.size(), voltage);
    const auto result = client().SpikeCluster({.v = v, .v_threshold = 1.0});
    ASSERT_TRUE(result.ok()) << result.status();
    EXPECT_EQ(result->n_o.values<float>()[29999], voltage == 1.0 ? 1.0f : 0.0f);
  }
  // Also a part of it, which begins anywhere.
  const TensorView part(DataType::kFloat64, {1, 7}, v.values<double>().data() + 3);
  EXPECT_TRUE(client().SpikeCluster({.v = part, .v_threshold = 1.0}).ok());
}

TEST_P(FunctionSuite, MasksMayBeBitsOrIndices) {
  // One cluster of two spikes, and silence; 9 neurons, so that a row of bits is padded.
  RowMatrix<float> v = RowMatrix<float>::Zero(4, 9);
  v(1, 8) = v(2, 8) = 2;
  v(3, 0) = 0.5;
  SpikeClusterArgs args{.v = v, .v_threshold = 1.0f, .options = {.t_in = 1}, .mask_dtype = DataType::kBit};
  const auto bits = client().SpikeCluster(args);
  ASSERT_TRUE(bits.ok()) << bits.status();
  EXPECT_EQ(bits->k_negative.dtype(), DataType::kBit);
  EXPECT_EQ(bits->k_negative.shape(), Shape({4, 9}));
  const auto* bytes = static_cast<const uint8_t*>(bits->k_negative.data());
  EXPECT_THAT(std::vector<uint8_t>(bytes, bytes + 8), ElementsAre(0, 0, 0, 0, 0, 1, 0, 0));
  args.index_output = true;
  const auto index = client().SpikeCluster(args);
  ASSERT_TRUE(index.ok()) << index.status();
  EXPECT_THAT(index->k_negative.values<int32_t>(), ElementsAre(-1, -1, -1, -1, -1, -1, -1, -1, 2));
  EXPECT_EQ(index->k_positive.values<int32_t>()[0], 3);

  const auto first =
      client().FirstSpikeIndex({.spikes = v.cwiseMin(0.0f).cwiseEqual(1.0f).eval(), .index_output = true});
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_THAT(first->values<int32_t>(), ElementsAre(-1, -1, -1, -1));

  const std::vector<int64_t> labels = {1, 0};
  const auto codes =
      client().RedundantOneHot({.labels = labels, .num_classes = 3, .n = 3, .mask_dtype = DataType::kBit});
  ASSERT_TRUE(codes.ok()) << codes.status();
  EXPECT_EQ(codes->shape(), Shape({2, 9}));
  const auto* code_bytes = static_cast<const uint8_t*>(codes->data());
  EXPECT_THAT(std::vector<uint8_t>(code_bytes, code_bytes + 4), ElementsAre(0b00111000, 0, 0b00000111, 0));
}

TEST_P(FunctionSuite, ResultsOfFirstSpikeIndexAsBitsEqualTheBytes) {
  RowMatrix<bool> spikes = RowMatrix<bool>::Constant(3, 11, false);
  spikes(0, 9) = spikes(0, 10) = spikes(2, 0) = true;
  const auto bits = client().FirstSpikeIndex({.spikes = spikes, .mask_dtype = DataType::kBit});
  ASSERT_TRUE(bits.ok()) << bits.status();
  const auto* bytes = static_cast<const uint8_t*>(bits->data());
  EXPECT_THAT(std::vector<uint8_t>(bytes, bytes + 6), ElementsAre(0, 2, 0, 0, 1, 0));
}

TEST_P(FunctionSuite, EmptyTensorsGiveEmptyResults) {
  const RowMatrix<float> no_neurons(5, 0), no_samples(0, 3);
  const auto clusters = client().SpikeCluster({.v = no_neurons, .v_threshold = 1.0f});
  ASSERT_TRUE(clusters.ok()) << clusters.status();
  EXPECT_EQ(clusters->n_o.shape(), Shape({0}));
  EXPECT_EQ(clusters->k_positive.shape(), Shape({5, 0}));
  const auto no_steps = client().SpikeCluster({.v = RowMatrix<float>(0, 4), .v_threshold = 1.0f});
  ASSERT_TRUE(no_steps.ok()) << no_steps.status();
  EXPECT_THAT(no_steps->n_o.values<float>(), ElementsAre(0, 0, 0, 0));
  const auto product = client().KernelDotProduct({.x = no_samples, .kernel = GaussianKernel{1}});
  ASSERT_TRUE(product.ok()) << product.status();
  EXPECT_EQ(product->shape(), Shape({0, 0}));
  const RowMatrix<float> two_samples = RowMatrix<float>::Ones(2, 3), no_pairs(0, 2);
  const auto gradients = client().KernelDotProductVjp(
      {.x = no_samples, .y = two_samples, .kernel = LinearKernel{}, .grad_output = no_pairs});
  ASSERT_TRUE(gradients.ok()) << gradients.status();
  EXPECT_EQ(gradients->grad_x.shape(), Shape({0, 3}));
  EXPECT_EQ(gradients->grad_y->ToDoubles(), std::vector<double>(6));
  const auto codes = client().RedundantOneHot({.labels = std::vector<int64_t>(), .num_classes = 2, .n = 2});
  ASSERT_TRUE(codes.ok()) << codes.status();
  EXPECT_EQ(codes->shape(), Shape({0, 4}));
  const auto first = client().FirstSpikeIndex({.spikes = no_samples});
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_EQ(first->shape(), Shape({0, 3}));
  const auto margin = client().ThresholdMargin({.label_one_hot = no_samples, .training = true});
  ASSERT_TRUE(margin.ok()) << margin.status();
  EXPECT_EQ(margin->shape(), Shape({0, 3}));
  const auto stca = client().StcaLoss({.v = no_neurons, .v_threshold = 1.0f, .n_d = 1.0f});
  ASSERT_TRUE(stca.ok()) << stca.status();
  EXPECT_EQ(stca->loss, 0);
}

TEST_P(FunctionSuite, AsynchronousCallsRunAtTheSameTimeAndGiveTheSame) {
  const Client client = this->client();
  const RowMatrix<float> x = RowMatrix<float>::Random(20, 30);
  const KernelDotProductArgs args{.x = x, .kernel = GaussianKernel{2}};
  std::vector<std::future<absl::StatusOr<Tensor>>> futures;
  for (int i = 0; i < 50; ++i) futures.push_back(client.Async(args));
  const auto want = client.KernelDotProduct(args);
  ASSERT_TRUE(want.ok());
  for (auto& future : futures) {
    const auto got = future.get();
    ASSERT_TRUE(got.ok()) << got.status();
    EXPECT_EQ(got->ToDoubles(), want->ToDoubles());
  }
}

TEST_P(FunctionSuite, ACallPastItsDeadlineEndsSo) {
  const auto result = client().KernelDotProduct({.x = RowMatrix<float>::Ones(2, 2).eval(), .kernel = LinearKernel{}},
                                                {.timeout = absl::Seconds(-1)});
  EXPECT_EQ(result.status().code(), absl::StatusCode::kDeadlineExceeded) << result.status();
}

TEST_P(FunctionSuite, AClientMayGoBeforeItsCallHasEnded) {
  std::future<absl::StatusOr<Tensor>> future;
  {
    Client client = this->client();
    future = client.Async(KernelDotProductArgs{.x = RowMatrix<float>::Ones(64, 64).eval(), .kernel = LinearKernel{}});
  }
  EXPECT_TRUE(future.get().ok());
}

}  // namespace
}  // namespace spikeserve::testing

// What spikectl does on a server, which is the built program.

#include <fstream>
#include <string>
#include <vector>

#include "client/spikectl_server_testing.h"

namespace spikeserve::testing {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::StartsWith;

// With networks to make on it.
class SpikectlOnServer : public SpikectlWithServer {
 protected:
  using SpikectlWithServer::SpikectlWithServer;

  void SetUp() override {
    SpikectlWithServer::SetUp();
    ASSERT_TRUE(npz::WriteNpz(Path("weights.npz"), {{"fc", weight_}, {"bias", bias_}}).ok());
    std::ofstream(Path("net.json")) << R"([{"name": "fc", "linear": {"weight": "weights.npz:fc",
                                                                     "bias": "weights.npz:bias"}},
                                           {"name": "out", "lifNode": {"tau": 2, "vThreshold": 0.5, "monitor": true}},
                                           {"dropout": {"p": 0.25, "seed": 7}}])";
    Save("input.npy", TensorView(absl::MakeConstSpan(input_), {4, 2, 5}));
  }

  std::string Create() const {
    const std::string name = Output("network create net.json");
    EXPECT_THAT(name, MatchesRegex("[0-9a-f]{32}\n"));
    return name.substr(0, 32);
  }

  const RowMatrix<float> weight_ = RowMatrix<float>::Random(3, 5);
  const std::vector<float> bias_ = {0.5, 0, 0.25};
  const std::vector<float> input_ = std::vector<float>(40, 0.75f);
};

class SpikectlOnSmallServer : public SpikectlOnServer {
 protected:
  SpikectlOnSmallServer() : SpikectlOnServer({"--max-calls=1"}) {}
};

TEST_F(SpikectlOnServer, HealthExitsWith0) {
  EXPECT_EQ(Output("health"), server_ + " serves\n");
  EXPECT_EQ(Json("health --timeout 3 --server " + server_), json::parse(R"({"serving": true})"));
}

TEST_F(SpikectlOnServer, FunctionsAreTheSameAsInProcess) {
  const std::string command = "spike-cluster --index-output --v-threshold 0.5 --v " +
                              Golden("spike_cluster", "random_3/inputs/v") + " --json --server ";
  EXPECT_EQ(Output(command + server_), Output(command + "''"));
}

TEST_F(SpikectlOnServer, ANetworkStaysUntilItIsDeleted) {
  EXPECT_EQ(Output("network list"), "no networks\n");
  const std::string name = Create();
  EXPECT_THAT(Output("network list"), HasSubstr("\n" + name + "  "));
  const json networks = Json("network list").at("networks");
  ASSERT_EQ(networks.size(), 1u);
  EXPECT_EQ(networks[0].at("network"), name);
  EXPECT_GT(networks[0].at("bytes"), 0);
  EXPECT_EQ(Output("network delete " + name), "deleted " + name + "\n");
  EXPECT_EQ(Json("network list").at("networks"), json::array());
  EXPECT_THAT(Error("network reset " + name, 1), StartsWith("spikectl: NOT_FOUND: network: "));
}

TEST_F(SpikectlOnServer, LayersOnPlanesAreMadeFromAFileAndShown) {
  const std::vector<float> kernel(2 * 1 * 2 * 2, 0.5f), pictures(3 * 1 * 1 * 5 * 6, 1.0f);
  Save("kernel.npy", TensorView(absl::MakeConstSpan(kernel), {2, 1, 2, 2}));
  Save("pictures.npy", TensorView(absl::MakeConstSpan(pictures), {3, 1, 1, 5, 6}));
  std::ofstream(Path("planes.json")) << R"([{"conv2d": {"weight": "kernel.npy", "stride": [2, 1], "padding": 1}},
                                            {"batchNorm2d": {"numFeatures": 2}},
                                            {"max_pool2d": {"kernel": [2]}},
                                            {"flatten": {}}])";
  const std::string name = Output("network create planes.json").substr(0, 32);
  const json forward = Json("network forward " + name + " --input pictures.npy");
  // Planes of [5, 6] become [3, 7], and [1, 3].
  EXPECT_EQ(forward.at("output").at("shape"), json::parse("[3, 1, 6]"));
  const std::string shown = Output("network get " + name);
  for (const char* kind : {"conv2d", "batch_norm2d", "max_pool2d", "flatten"}) EXPECT_THAT(shown, HasSubstr(kind));
}

TEST_F(SpikectlOnServer, ForwardReturnsTheOutputAndTheRecordsThatWereAskedFor) {
  const std::string name = Create();
  Output("network forward " + name + " --input input.npy --record out:spikes,v_before_reset,v_after_reset -o run.npz");
  LifNode node;
  node.tau = 2;
  node.v_threshold = 0.5f;
  Dropout dropout;
  dropout.p = 0.25;
  const NetworkHandle same =
      Value(client_.CreateNetwork({{"fc", LinearLayer{weight_, bias_}}, {"out", node}, {"drop", dropout}}));
  const auto result = Value(same.Forward({.network = "",
                                          .input = TensorView(absl::MakeConstSpan(input_), {4, 2, 5}),
                                          .records = {{"out", true, true, true}}}));
  ExpectSame(Read(Path("run.npz:output")), result.output);
  ExpectSame(Read(Path("run.npz:out/spikes")), *result.records[0].spikes);
  ExpectSame(Read(Path("run.npz:out/v_before_reset")), *result.records[0].v_before_reset);
  ExpectSame(Read(Path("run.npz:out/v_after_reset")), *result.records[0].v_after_reset);

  Save("step.npy", TensorView(absl::MakeConstSpan(input_).subspan(0, 10), {2, 5}));
  const json step = Json("network forward " + name + " --single-step --input step.npy --step 1");
  EXPECT_EQ(step.at("output").at("shape"), json::parse("[2, 3]"));
  EXPECT_EQ(step.at("next_step"), 2);
  EXPECT_THAT(Error("network forward " + name + " --single-step --input step.npy --step 7", 1),
              StartsWith("spikectl: FAILED_PRECONDITION: step: "));
  EXPECT_THAT(Error("network forward " + name + " --input input.npy --record out:volts", 2),
              HasSubstr("--record: got out:volts; need LAYER:PART"));
}

TEST_F(SpikectlOnServer, RunIsForwardInBlocks) {
  const std::string name = Create();
  const std::string records = " --record out:spikes,v_before_reset --input input.npy ";
  Output("network forward " + name + records + "-o whole.npz");
  for (const char* block : {"1", "3", "4", "100"}) {
    EXPECT_THAT(Output(absl::StrCat("network run ", name, records, "--reset -o blocks.npz --block ", block)),
                HasSubstr("next_step"));
    for (const char* array : {":output", ":out/spikes", ":out/v_before_reset"}) {
      ExpectSame(Read(Path("blocks.npz") + array), Read(Path("whole.npz") + array));
    }
  }
  // One change for each of 4, 2, 1 and 1 messages.
  EXPECT_EQ(Json("network get " + name).at("next_step"), 9);
  // Without --reset it goes on.
  Output("network forward " + name + " --input input.npy -o next.npy");
  Output("network reset " + name);
  Output("network run " + name + " --input input.npy --block 2");
  Output("network run " + name + " --input input.npy --block 2 -o out.npy");
  ExpectSame(Read(Path("out.npy")), Read(Path("next.npy")));

  Save("none.npy", TensorView(absl::MakeConstSpan(input_).subspan(0, 0), {0, 2, 5}));
  EXPECT_EQ(Json("network run " + name + " --input none.npy").at("output").at("shape"), json::parse("[0, 2, 3]"));
  Save("step.npy", TensorView(absl::MakeConstSpan(input_).subspan(0, 10), {2, 5}));
  EXPECT_THAT(Error("network run " + name + " --input step.npy", 1), StartsWith("spikectl: INVALID_ARGUMENT: input"));
  EXPECT_THAT(Error("network run absent --input input.npy --block 1", 1), StartsWith("spikectl: NOT_FOUND: network: "));
  EXPECT_THAT(Error("network run " + name + " --input input.npy --block 0", 2), HasSubstr("--block"));
}

TEST_F(SpikectlOnServer, GetShowsLayersAndSavesThemForCreate) {
  const std::string name = Create();
  Output("network forward " + name + " --input input.npy");
  EXPECT_THAT(Output("network get " + name + " --include-monitors --save copy.json -o net.npz"),
              AllOf(HasSubstr("\n  out  lif_node  v_threshold 0.5,"), HasSubstr("\nfc/weight "),
                    HasSubstr("\nout/v_before_reset  FLOAT32  [4, 2, 3] ")));
  ExpectSame(Read(Path("net.npz:fc/weight")), weight_);
  ExpectSame(Read(Path("net.npz:fc/bias")), bias_);
  EXPECT_EQ(Read(Path("net.npz:out/spikes")).shape(), (Shape{4, 2, 3}));

  json original = Json("network get " + name);
  EXPECT_EQ(original.at("training"), false);
  EXPECT_EQ(original.at("next_step"), 1);
  EXPECT_EQ(original.at("layers")[1].at("lif_node").at("tau"), 2);
  json copy = Json("network get $(\"" SPIKECTL "\" network create copy.json)");
  EXPECT_EQ(copy.at("layers"), original.at("layers"));
  EXPECT_EQ(copy.at("fc/weight"), original.at("fc/weight"));
}

TEST_F(SpikectlOnServer, ModeMarginAndResetChangeTheNetwork) {
  const std::string name = Create();
  Save("labels.npy", TensorView(absl::MakeConstSpan(std::vector<float>{0, 1, 0, 1, 0, 0}), {2, 3}));
  EXPECT_EQ(Json("network set-training " + name + " on"), json::parse(R"({"training": true, "next_step": 1})"));
  const json margin =
      Json("network set-threshold-margin " + name + " out --label-one-hot labels.npy --threshold0 0.5 -o v.npy");
  EXPECT_EQ(margin.at("v_threshold").at("values"), json::parse("[0.5, 1.1, 0.5, 1.1, 0.5, 0.5]"));
  EXPECT_EQ(Read(Path("v.npy")).shape(), (Shape{2, 3}));
  EXPECT_EQ(Output("network reset " + name + " --step 2"), "next_step  3\n");
  EXPECT_EQ(Json("network get " + name).at("out/v_threshold_tensor"), margin.at("v_threshold"));
  EXPECT_THAT(Error("network set-training " + name + " maybe", 2), HasSubstr("got maybe; need on|off"));
}

TEST_F(SpikectlOnServer, CreateSaysWhatIsWrongWithTheFile) {
  const auto error = [&](const std::string& text) {
    std::ofstream(Path("bad.json")) << text;
    return Error("network create bad.json", 1);
  };
  EXPECT_THAT(error("{"), HasSubstr("bad.json: parse error at line 1"));
  EXPECT_THAT(error("3"), HasSubstr("bad.json: no list of layers"));
  EXPECT_THAT(error(R"([{"lif_node": {"tua": 2}}])"), AllOf(HasSubstr("layers[0].lif_node"), HasSubstr("tua")));
  EXPECT_THAT(
      error(R"([{"linear": {"weight": "weights.npz:fd"}}])"),
      AllOf(HasSubstr("bad.json: layers[0].linear.weight: "), HasSubstr("no array fd"), HasSubstr("one of: fc, bias")));
  EXPECT_THAT(error(R"([{"lif_node": {"tau": 0}}])"),
              StartsWith("spikectl: INVALID_ARGUMENT: layers[0].lif_node.tau: "));
}

TEST_F(SpikectlOnServer, LoadCallsEachFunctionAndNoCallFails) {
  for (const char* method : {"spike-cluster", "kernel-dot-product", "kernel-dot-product-vjp", "spike-similar-loss",
                             "redundant-one-hot", "first-spike-index", "threshold-margin", "stca-loss"}) {
    for (const char* size : {"1", "4KB"}) {
      const json load = Json(absl::StrCat("load --calls 50 --concurrency 4 --method ", method, " --size ", size));
      EXPECT_EQ(load.at("method"), method);
      EXPECT_EQ(load.at("calls"), 50) << method;
      EXPECT_EQ(load.at("errors"), json::object()) << method;
    }
  }
}

TEST_F(SpikectlOnServer, LoadTellsThroughputPercentilesAndAHistogram) {
  const json load = Json("load --method spike-cluster --size 4000 --calls 300 --concurrency 3");
  EXPECT_EQ(load.at("operand"), "FLOAT32 [100, 10], 4000 bytes");
  EXPECT_EQ(load.at("concurrency"), 3);
  EXPECT_NEAR(load.at("calls_per_second").get<double>() * load.at("seconds").get<double>(), 300, 1e-6);
  const json& latency = load.at("latency_ms");
  const char* const ascending[] = {"min", "p50", "p90", "p99", "p99.9", "max"};
  for (size_t i = 1; i < std::size(ascending); ++i) {
    EXPECT_LE(latency.at(ascending[i - 1]).get<double>(), latency.at(ascending[i]).get<double>()) << ascending[i];
  }
  int64_t counted = 0;
  for (const json& range : load.at("histogram")) counted += range.at("count").get<int64_t>();
  EXPECT_EQ(counted, 300);

  EXPECT_EQ(Json("load --method spike-similar-loss --size 4KB --samples 256 --calls 2").at("operand"),
            "BIT [256, 128], 4096 bytes");
  EXPECT_THAT(Output("load --method stca-loss --calls 20"),
              AllOf(StartsWith("method            stca-loss\n"), HasSubstr("\ncalls             20\n"),
                    HasSubstr("\nerrors            0\nlatency           mean "), HasSubstr(" ms  p99.9 ")));
}

TEST_F(SpikectlOnServer, LoadAtARateMakesTheCallsThatAreDue) {
  const json load = Json("load --method first-spike-index --rate 500 --duration 200ms");
  EXPECT_EQ(load.at("rate"), 500);
  EXPECT_EQ(load.at("calls").get<int64_t>() + load.at("unsent").get<int64_t>(), 100);
  EXPECT_EQ(load.at("errors"), json::object());
}

TEST_F(SpikectlOnSmallServer, LoadCountsTheCallsThatFailByCode) {
  // The server takes one call at a time, each of which takes it some milliseconds.
  const json load = Json("load --method kernel-dot-product --size 4MB --concurrency 8 --calls 100");
  EXPECT_EQ(load.at("calls"), 100);
  ASSERT_EQ(load.at("errors").size(), 1u) << load;
  const json& errors = load.at("errors").at("RESOURCE_EXHAUSTED");
  EXPECT_GT(errors.at("count"), 0);
  EXPECT_THAT(errors.at("first").get<std::string>(), HasSubstr("--max-calls"));
  int64_t succeeded = 0;
  for (const json& range : load.at("histogram")) succeeded += range.at("count").get<int64_t>();
  EXPECT_EQ(succeeded + errors.at("count").get<int64_t>(), 100);
}

TEST_F(SpikectlOnServer, LoadStopsAtOnceWhereNoCallCanSucceed) {
  EXPECT_THAT(Error("load --method spike-cluster --server unix:absent.sock", 1), StartsWith("spikectl: UNAVAILABLE: "));
}

}  // namespace
}  // namespace spikeserve::testing

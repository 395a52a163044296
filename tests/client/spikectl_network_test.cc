// What spikectl does with networks that learn: steps of training, gradients, checkpoints.

#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "client/spikectl_server_testing.h"
#include "spikeserve/client/checkpoint.h"

namespace spikeserve::testing {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::StartsWith;

class SpikectlOnNetworks : public SpikectlWithServer {
 protected:
  void SetUp() override {
    SpikectlWithServer::SetUp();
    std::ofstream(Path("net.json")) << R"([{"name": "fc1", "linear": {"weight": [6, 5], "bias": [6]}},
                                           {"name": "hidden", "lifNode": {"tau": 2, "vThreshold": 0.3}},
                                           {"name": "fc2", "linear": {"weight": [4, 6]}},
                                           {"name": "out", "plifNode": {"vThreshold": 0.2}}])";
    Save("input.npy", TensorView(absl::MakeConstSpan(input_), {3, 2, 5}));
    Save("labels.npy", labels_);
    for (size_t i = 0; i < grad_output_.size(); ++i) grad_output_[i] = 0.1f * static_cast<float>(i % 7) - 0.25f;
    for (size_t i = 0; i < grad_hidden_.size(); ++i) grad_hidden_[i] = 0.05f * static_cast<float>(i % 5) - 0.1f;
    Save("grad_output.npy", TensorView(absl::MakeConstSpan(grad_output_), {3, 2, 4}));
    Save("grad_hidden.npy", TensorView(absl::MakeConstSpan(grad_hidden_), {3, 2, 6}));
  }

  std::string Name(const std::string& command) const {
    const std::string name = Output(command);
    EXPECT_THAT(name, MatchesRegex("[0-9a-f]{32}\n"));
    return name.substr(0, 32);
  }
  std::string Create(const std::string& flags = "") const { return Name("network create net.json " + flags); }

  // A copy of the network, in this process.
  NetworkHandle Copy(const std::string& name) const {
    Output("network save " + name + " copy.ckpt");
    return Value(client_.RestoreNetwork(Value(ReadCheckpoint(Path("copy.ckpt")))));
  }

  // All that a checkpoint of it would hold, in words.
  json Everything(const std::string& name) const {
    Output("network save " + name + " all.json");
    return json::parse(Bytes("all.json"));
  }

  const std::vector<float> input_ = [] {
    std::vector<float> values(30);
    for (size_t i = 0; i < values.size(); ++i) values[i] = 0.3f * static_cast<float>(i % 4);
    return values;
  }();
  const std::vector<int64_t> labels_ = {1, 0};
  std::vector<float> grad_output_ = std::vector<float>(24), grad_hidden_ = std::vector<float>(36);
};

TEST_F(SpikectlOnNetworks, CreateDrawsTheParametersOfWhichOnlyTheShapeIsGiven) {
  const auto weights = [&](const std::string& flags) {
    Output("network get " + Create(flags) + " -o net.npz");
    return Read(Path("net.npz:fc1/weight"));
  };
  const Tensor one = weights("--seed 1");
  EXPECT_EQ(one.shape(), (Shape{6, 5}));
  ExpectSame(weights("--seed 1"), one);
  EXPECT_NE(weights("--seed 2").values<float>()[0], one.values<float>()[0]);
  EXPECT_NE(weights("").values<float>()[0], one.values<float>()[0]);
  EXPECT_EQ(Read(Path("net.npz:fc2/weight")).shape(), (Shape{4, 6}));

  const auto error = [&](const std::string& text) {
    std::ofstream(Path("bad.json")) << text;
    return Error("network create bad.json", 1);
  };
  for (const char* shape : {"[]", "[0, 5]", "[2, -5]", "[1.5, 2]", "[\"a\"]"}) {
    EXPECT_THAT(error(absl::StrCat(R"([{"linear": {"weight": )", shape, "}}]")),
                AllOf(HasSubstr("bad.json: layers[0].linear.weight: "), HasSubstr("a shape to draw it of")));
  }
  EXPECT_THAT(error(R"([{"linear": {"weight": [2, 3], "bias": [5]}}])"), HasSubstr("layers[0].linear.bias"));
  const std::string too_large = ".linear.weight: the arrays of all layers are more than 2 GiB\n";
  EXPECT_EQ(error(R"([{"linear": {"weight": [100000, 100000]}}])"), "spikectl: bad.json: layers[0]" + too_large);
  EXPECT_EQ(error(R"([{"linear": {"weight": [16, 16]}}, {"linear": {"weight": [16384, 32768]}}])"),
            "spikectl: bad.json: layers[1]" + too_large);
  EXPECT_THAT(error(R"([{"if_node": {"v_threshold_tensor": [2, 3]}}])"),
              HasSubstr("layers[0].if_node.v_threshold_tensor: only a shape"));
}

TEST_F(SpikectlOnNetworks, CreateRefusesFilesThatAreMadeToHarm) {
  const auto error = [&](const std::string& text) {
    std::ofstream(Path("bad.json")) << text;
    return Error("network create bad.json", 1);
  };
  EXPECT_EQ(error(R"([null, {"if_node": {}}])"), "spikectl: bad.json: layers[0]: got null; need an object\n");
  EXPECT_EQ(error(R"([{"if_node": {}}, [1]])"), "spikectl: bad.json: layers[1]: got array; need an object\n");
  EXPECT_THAT(error(R"([{"if_node": {"v_threshold": 1e999}}])"), StartsWith("spikectl: bad.json: number overflow"));
  const auto nested = [&](int depth) {
    return error(R"([{"if_node": )" + std::string(depth, '[') + std::string(depth, ']') + "}]");
  };
  EXPECT_EQ(nested(60).find("nested more"), std::string::npos);
  for (const int depth : {66, 1'000'000}) {
    EXPECT_EQ(nested(depth), "spikectl: bad.json: nested more deeply than 64 levels\n");
  }
  EXPECT_THAT(error(R"([{"linear": {"weight": {"dtype": "DATA_TYPE_BOOL", "shape": [1048576, 1048576],
                                               "event_deltas": [1]}}}])"),
              HasSubstr("bad.json: tensors of 4398046511104 bytes in a message of "));
}

TEST_F(SpikectlOnNetworks, NamesOfLayersAreLinesThatATerminalObeysInNothing) {
  std::ofstream(Path("named.json")) << R"([{"name": "a\u001b]0;b\u0007\u009b2J\n\u00e9", "if_node": {}}])";
  const std::string name = Name("network create named.json");
  const auto expect_obeyed_in_nothing = [](const std::string& text) {
    EXPECT_THAT(text, HasSubstr(R"(a\u001b]0;b\u0007\u009b2J)"));
    EXPECT_THAT(text, HasSubstr("\u00e9"));
    EXPECT_EQ(text.find_first_of("\033\007"), text.npos);
    EXPECT_EQ(text.find("\u009b"), text.npos);
  };
  expect_obeyed_in_nothing(Output("network get " + name));
  const std::string as_json = Output("network get " + name + " --json");
  expect_obeyed_in_nothing(as_json);
  EXPECT_EQ(as_json.find('\n'), as_json.size() - 1);
}

TEST_F(SpikectlOnNetworks, TrainStepDoesWhatTheClientDoes) {
  const std::string name = Create();
  const NetworkHandle copy = Copy(name);
  TrainStepOptions options{.optimizer = Sgd{.learning_rate = 0.5, .momentum = 0.9, .weight_decay = 0.01},
                           .num_classes = 2,
                           .losses = {{.kind = CountLoss{}},
                                      {.layer = "hidden", .weight = 0.5, .kind = SimilarityLoss{GaussianKernel{2}}},
                                      {.weight = 0.25, .kind = ClusterLoss{.t_in = 1, .n_d = 2}},
                                      {.kind = RateLoss{}}},
                           .margin = TrainingMargin{.threshold0 = 0.15, .threshold1 = 0.25}};
  const TensorView input(absl::MakeConstSpan(input_), {3, 2, 5});
  const auto wanted = Value(copy.TrainStep({.input = input, .labels = labels_, .options = options}));
  const json got = Json("network train-step " + name +
                        " --input input.npy --labels labels.npy --num-classes 2 --step 0 --optimizer sgd "
                        "--learning-rate 0.5 --momentum 0.9 --weight-decay 0.01 --loss count "
                        "--loss similarity,layer=hidden,weight=0.5,kernel=gaussian,sigma=2 "
                        "--loss clusters,t_in=1,n_d=2,weight=0.25 --loss rate --margin --threshold0 0.15 "
                        "--threshold1 0.25");
  EXPECT_EQ(got.at("loss"), wanted.loss);
  EXPECT_EQ(got.at("losses"), json(wanted.losses));
  EXPECT_EQ(got.at("correct"), wanted.correct);
  EXPECT_EQ(got.at("accuracy"), wanted.accuracy);
  EXPECT_EQ(got.at("spike_rates").at("hidden"), wanted.spike_rates[0].rate);
  EXPECT_EQ(got.at("spike_rates").at("out"), wanted.spike_rates[1].rate);
  EXPECT_EQ(got.at("next_step"), 1);

  ASSERT_TRUE(WriteCheckpoint(Value(TakeCheckpoint(copy)), Path("wanted.ckpt")).ok());
  Output("network save " + name + " got.ckpt");
  EXPECT_EQ(Bytes("got.ckpt"), Bytes("wanted.ckpt"));
}

TEST_F(SpikectlOnNetworks, TrainStepShowsAnInputOfOneStepRepeatedly) {
  std::vector<float> step(input_.begin(), input_.begin() + 10), steps;
  for (int t = 0; t < 3; ++t) steps.insert(steps.end(), step.begin(), step.end());
  Save("step.npy", TensorView(absl::MakeConstSpan(step), {2, 5}));
  Save("steps.npy", TensorView(absl::MakeConstSpan(steps), {3, 2, 5}));
  const std::string flags = " --labels labels.npy --num-classes 2 --loss count --optimizer adam --input ";
  const std::string one = Create(), other = Create();
  EXPECT_EQ(Output("network train-step " + one + flags + "step.npy --repeat-input 3"),
            Output("network train-step " + other + flags + "steps.npy"));
  EXPECT_EQ(Everything(one), Everything(other));
}

TEST_F(SpikectlOnNetworks, BackwardAndApplyGradientsDoWhatTheClientDoes) {
  const std::string name = Create();
  const NetworkHandle copy = Copy(name);
  EXPECT_THAT(Error("network backward " + name + " --grad-output grad_output.npy", 1),
              StartsWith("spikectl: FAILED_PRECONDITION: "));
  Output("network forward " + name + " --input input.npy --keep-trace --step 0");
  const TensorView input(absl::MakeConstSpan(input_), {3, 2, 5});
  ASSERT_TRUE(copy.Forward({.input = input, .keep_trace = true}).ok());

  Output("network backward " + name +
         " --grad-output grad_output.npy --gradient hidden:spikes=grad_hidden.npy "
         "--gradient hidden:v_before_reset=grad_hidden.npy --grad-input --include-gradients --step 1 -o got.npz");
  const TensorView grad_output(absl::MakeConstSpan(grad_output_), {3, 2, 4});
  const TensorView grad_hidden(absl::MakeConstSpan(grad_hidden_), {3, 2, 6});
  const auto wanted =
      Value(copy.Backward({.grad_output = grad_output,
                           .layers = {{.layer = "hidden", .spikes = grad_hidden, .v_before_reset = grad_hidden}},
                           .compute_grad_input = true,
                           .include_gradients = true}));
  ExpectSame(Read(Path("got.npz:grad_input")), *wanted.grad_input);
  ASSERT_EQ(wanted.gradients.size(), 4u);
  for (const ParameterTensor& gradient : wanted.gradients) {
    ExpectSame(Read(Path(absl::StrCat("got.npz:", gradient.layer, "/", gradient.parameter))),
               TensorView(absl::MakeConstSpan(gradient.values), gradient.shape));
  }

  EXPECT_EQ(Output("network apply-gradients " + name + " --optimizer adam --learning-rate 0.25 --beta1 0.5 --step 2"),
            "next_step  3\n");
  ASSERT_TRUE(copy.ApplyGradients(Adam{.learning_rate = 0.25, .beta1 = 0.5}).ok());
  ASSERT_TRUE(WriteCheckpoint(Value(TakeCheckpoint(copy)), Path("wanted.ckpt")).ok());
  Output("network save " + name + " got.ckpt");
  EXPECT_EQ(Bytes("got.ckpt"), Bytes("wanted.ckpt"));

  EXPECT_NE(Everything(name).at("gradients")[0].at("values").value("data", ""), "");
  EXPECT_EQ(Json("network zero-gradients " + name), json::parse(R"({"next_step": 4})"));
  ASSERT_TRUE(copy.ZeroGradients().ok());
  ASSERT_TRUE(WriteCheckpoint(Value(TakeCheckpoint(copy)), Path("wanted.ckpt")).ok());
  Output("network save " + name + " got.ckpt");
  EXPECT_EQ(Bytes("got.ckpt"), Bytes("wanted.ckpt"));
}

TEST_F(SpikectlOnNetworks, ALoadedNetworkGoesOnAsTheSavedOne) {
  const std::string name = Create();
  const std::string step = " --input input.npy --labels labels.npy --num-classes 2 --loss rate --optimizer adam";
  Output("network train-step " + name + step);
  Output("network forward " + name + " --input input.npy");  // Leaves voltages behind.
  EXPECT_EQ(Output("network save " + name + " net.ckpt"), "wrote net.ckpt\n");
  EXPECT_EQ(Json("network save " + name + " net.ckpt.json").at("written"), "net.ckpt.json");
  EXPECT_THAT(Bytes("net.ckpt.json"), StartsWith("{"));
  std::vector<std::string> names = {name, Name("network load net.ckpt"), Name("network load net.ckpt.json")};
  EXPECT_NE(names[0], names[1]);
  std::vector<json> outputs, states;
  for (const std::string& each : names) {
    outputs.push_back(Json("network forward " + each + " --input input.npy --record out:v_after_reset"));
    outputs.back().erase("next_step");
    json trained = Json("network train-step " + each + step);
    trained.erase("next_step");
    outputs.back().push_back({"trained", trained});
    states.push_back(Everything(each));
  }
  for (size_t i = 1; i < names.size(); ++i) {
    EXPECT_EQ(outputs[i], outputs[0]);
    EXPECT_EQ(states[i], states[0]);
  }
}

TEST_F(SpikectlOnNetworks, LoadSaysWhatIsWrongWithTheFile) {
  const std::string name = Create();
  Output("network train-step " + name +
         " --input input.npy --labels labels.npy --num-classes 2 --loss rate --optimizer adam");
  Output("network save " + name + " net.ckpt");
  Output("network save " + name + " net.json");
  const auto error = [&](const std::string& file, const std::string& bytes) {
    std::ofstream(Path(file), std::ios::binary) << bytes;
    return Error("network load " + file, 1);
  };
  EXPECT_THAT(Error("network load absent.ckpt", 1), StartsWith("spikectl: absent.ckpt: "));
  EXPECT_THAT(error("empty.ckpt", ""), StartsWith("spikectl: empty.ckpt: no checkpoint"));
  EXPECT_THAT(error("random.ckpt", std::string("\xff\xfe\x80 some words", 14)),
              StartsWith("spikectl: random.ckpt: no checkpoint"));
  EXPECT_THAT(error("text.json", "{\"layers\": "), StartsWith("spikectl: text.json: "));
  EXPECT_THAT(error("array.json", "[]"), StartsWith("spikectl: array.json: "));

  // Wherever it is cut off, also between two fields of the message.
  const std::string whole = Bytes("net.ckpt");
  for (size_t size = 0; size < whole.size(); size += size + 64 < whole.size() ? 61 : 1) {
    EXPECT_THAT(error("torn.ckpt", whole.substr(0, size)), StartsWith("spikectl: torn.ckpt: ")) << size;
  }

  const std::string other =
      absl::StrReplaceAll(Bytes("net.json"), {{"\"format_version\": 1", "\"format_version\": 9"}});
  EXPECT_THAT(error("newer.json", other), AllOf(StartsWith("spikectl: newer.json: format_version: 9"), HasSubstr("1")));
  std::string newer = whole;
  newer.back() = 9;
  EXPECT_THAT(error("newer.ckpt", newer), StartsWith("spikectl: newer.ckpt: format_version: 9"));

  EXPECT_THAT(Error("network save " + std::string(32, '0') + " net.ckpt", 1), StartsWith("spikectl: NOT_FOUND: "));
  EXPECT_EQ(Bytes("net.ckpt"), whole);
  EXPECT_THAT(Error("network save " + name + " absent/net.ckpt", 1), StartsWith("spikectl: absent/net.ckpt: "));
}

TEST_F(SpikectlOnNetworks, MistakesInTrainingFlagsExitWith2) {
  const auto error = [&](const std::string& flags) {
    return Error("network train-step x --input input.npy --labels labels.npy --num-classes 2 " + flags, 2);
  };
  EXPECT_THAT(error(""), HasSubstr("--loss is required"));
  EXPECT_THAT(error("--loss hinge"), HasSubstr("--loss hinge: got hinge; need count|rate|clusters|similarity"));
  EXPECT_THAT(error("--loss count,weight"), HasSubstr("got weight; need KEY=VALUE"));
  EXPECT_THAT(error("--loss count,weight=1,weight=2"), HasSubstr("each KEY once"));
  EXPECT_THAT(error("--loss count,weight=big"), HasSubstr("weight: got big; need a number"));
  EXPECT_THAT(error("--loss count,t_in=1"), HasSubstr("knows no t_in"));
  EXPECT_THAT(error("--loss clusters,t_in=1.5"), HasSubstr("t_in: got 1.5; need an integer"));
  EXPECT_THAT(error("--loss similarity,kernel=gaussian"), HasSubstr("needs sigma=NUMBER"));
  EXPECT_THAT(error("--loss similarity,kernel=cubic"), HasSubstr("kernel: got cubic"));
  EXPECT_THAT(error("--loss similarity,loss_type=l2"), HasSubstr("loss_type: got l2; need mse|l1|bce"));
  EXPECT_THAT(error("--loss similarity,kernel=linear,sigma=2"), HasSubstr("knows no sigma"));
  EXPECT_THAT(error("--loss count --optimizer adam --momentum 0.9"), HasSubstr("--momentum is for --optimizer sgd"));
  EXPECT_THAT(error("--loss count --optimizer sgd --beta1 0.9"), HasSubstr("--beta1 is for --optimizer adam"));
  EXPECT_THAT(error("--loss count --threshold0 0.9"), HasSubstr("are for --margin"));
  EXPECT_THAT(Error("network backward x", 2), HasSubstr("need --grad-output or --gradient"));
  for (const char* gradient : {"hidden", "hidden:spikes", ":spikes=a.npy", "hidden:volts=a.npy"}) {
    EXPECT_THAT(Error(absl::StrCat("network backward x --gradient ", gradient), 2),
                HasSubstr(absl::StrCat("--gradient: got ", gradient, "; need LAYER:PART=ARRAY")));
  }
  EXPECT_THAT(
      Error("network backward x --gradient out:spikes=grad_output.npy --gradient out:spikes=grad_output.npy", 2),
      HasSubstr("out:spikes is given twice"));
}

TEST_F(SpikectlOnNetworks, ErrorsOfTrainingNameTheField) {
  const std::string step = "network train-step " + Create() + " --input input.npy --num-classes 2 ";
  EXPECT_THAT(Error(step + "--labels labels.npy --loss count,layer=fc1", 1),
              StartsWith("spikectl: INVALID_ARGUMENT: losses[0].layer"));
  Save("three.npy", std::vector<int32_t>{0, 1, 0});
  EXPECT_THAT(Error(step + "--labels three.npy --loss count", 1), StartsWith("spikectl: INVALID_ARGUMENT: labels"));
  EXPECT_THAT(Error(step + "--labels labels.npy --loss count --learning-rate -1", 1),
              StartsWith("spikectl: INVALID_ARGUMENT: optimizer.adam.learning_rate"));
}

}  // namespace
}  // namespace spikeserve::testing

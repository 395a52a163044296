// spikectl as its users run it: the built program, files, and for what needs one the built server.

#include <pty.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "npz/npy.h"
#include "npz/npz.h"
#include "spikeserve/client/client.h"

namespace spikeserve {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::MatchesRegex;
using ::testing::Not;
using ::testing::StartsWith;

const std::vector<std::string> kCommands = {
    "spike-cluster",
    "kernel-dot-product",
    "spike-similar-loss",
    "redundant-one-hot",
    "first-spike-index",
    "threshold-margin",
    "stca-loss",
    "network create",
    "network get",
    "network list",
    "network forward",
    "network reset",
    "network delete",
    "network set-training",
    "network set-threshold-margin",
    "raster",
    "heatmap",
    "health",
};

// A golden case's array.
std::string Golden(const std::string& function, const std::string& member) {
  return absl::StrCat(SPIKESERVE_GOLDEN_DIR "/", function, ".npz:", member);
}

Tensor Read(const std::string& array) {
  absl::StatusOr<Tensor> tensor = npz::ReadArray(array);
  if (tensor.ok()) return *std::move(tensor);
  ADD_FAILURE() << tensor.status();
  return Tensor();
}

void ExpectSame(const TensorView& got, const TensorView& wanted) {
  EXPECT_EQ(got.dtype(), wanted.dtype());
  ASSERT_EQ(got.shape(), wanted.shape());
  EXPECT_EQ(std::memcmp(got.data(), wanted.data(), wanted.byte_size()), 0) << "other elements";
}

// What absl::StatusOr<T> holds; the test fails where it is an error.
template <typename T>
T Value(absl::StatusOr<T> value) {
  if (!value.ok()) {
    ADD_FAILURE() << value.status();
    std::abort();
  }
  return *std::move(value);
}

struct Outcome {
  int exit_code;
  std::string out;
  std::string err;
};

// A folder of its own for each test, in which the program runs.
class Spikectl : public ::testing::Test {
 protected:
  Spikectl() { std::filesystem::create_directories(folder_); }
  ~Spikectl() override { std::filesystem::remove_all(folder_); }

  std::string Path(const std::string& name) const { return folder_ + "/" + name; }
  bool Exists(const std::string& name) const { return std::filesystem::exists(Path(name)); }
  std::string Bytes(const std::string& name) const {
    std::ostringstream bytes;
    bytes << std::ifstream(Path(name), std::ios::binary).rdbuf();
    return bytes.str();
  }
  void Save(const std::string& name, const TensorView& tensor) const {
    ASSERT_TRUE(npz::WriteNpy(Path(name), tensor).ok());
  }

  // Runs it with `arguments`, words for the shell.
  Outcome Run(const std::string& arguments) const {
    const int status = std::system(absl::StrCat("cd ", folder_, " && SPIKESERVE_SERVER='", server_, "' '" SPIKECTL "' ",
                                                arguments, " >stdout 2>stderr")
                                       .c_str());
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, Bytes("stdout"), Bytes("stderr")};
  }

  // The same, where all goes well.
  std::string Output(const std::string& arguments) const {
    const Outcome outcome = Run(arguments);
    EXPECT_EQ(outcome.exit_code, 0) << arguments;
    EXPECT_EQ(outcome.err, "") << arguments;
    return outcome.out;
  }
  json Json(const std::string& arguments) const { return json::parse(Output(arguments + " --json")); }

  // Runs it where that fails, and returns its message.
  std::string Error(const std::string& arguments, int exit_code) const {
    const Outcome outcome = Run(arguments);
    EXPECT_EQ(outcome.exit_code, exit_code) << arguments;
    EXPECT_EQ(outcome.out, "") << arguments;
    EXPECT_THAT(outcome.err, AllOf(StartsWith("spikectl: "), EndsWith("\n"))) << arguments;
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
    return outcome.err;
  }

  Client client_ = Value(Client::InProcess());
  std::string server_;

 private:
  std::string folder_ = absl::StrCat(::testing::TempDir(), "spikectl_test.", getpid(), ".",
                                     ::testing::UnitTest::GetInstance()->current_test_info()->name());
};

TEST_F(Spikectl, PrintsItsVersion) { EXPECT_EQ(Output("--version"), "spikectl 0.1.0\n"); }

TEST_F(Spikectl, HelpListsEveryCommandAndTheHelpOfEachHasAnExample) {
  const std::string help = Output("--help");
  for (const char* group : {"Functions:", "Networks:", "Drawing:", "Server:"}) EXPECT_THAT(help, HasSubstr(group));
  for (const std::string& command : kCommands) {
    EXPECT_THAT(help, HasSubstr("\n  " + command + " "));
    const std::string own = Output(command + " --help");
    EXPECT_THAT(own, AllOf(HasSubstr("Usage: spikectl " + command), HasSubstr("\nExample:\n")));
    EXPECT_THAT(own.substr(own.find("\nExample:\n")), HasSubstr("spikectl " + command));
  }
}

TEST_F(Spikectl, SpikeClusterWritesWhatTheReferenceReturns) {
  const auto golden = [](const std::string& name) { return Golden("spike_cluster", "random_0/" + name); };
  const std::string out = Output(
      absl::StrCat("spike-cluster --v ", golden("inputs/v"), " --v-threshold 1 --t-in 1 --mask-dtype bit -o out.npz"));
  EXPECT_THAT(out, MatchesRegex("n_o         FLOAT32  \\[1\\]     .*\n"
                                "k_positive  BI?T?O?O?L?     \\[2, 1\\]  .*\n"
                                "k_negative  BI?T?O?O?L?     \\[2, 1\\]  .*\n"
                                "wrote out.npz\n"));
  for (const char* name : {"n_o", "k_positive", "k_negative"}) {
    ExpectSame(Read(Path("out.npz:") + name), Read(golden(absl::StrCat("outputs/", name))));
  }
}

TEST_F(Spikectl, SpikeClusterTakesThresholdsRuleAndMinimum) {
  const RowMatrix<float> v = RowMatrix<float>::Random(16, 5);
  const std::vector<float> thresholds = {0, 0.5, -2, 2, 0.1f};
  Save("v.npy", v);
  Save("thresholds.npy", thresholds);
  Output(
      "spike-cluster --v v.npy --v-threshold thresholds.npy --t-in 0 --rule definition --index-output -o "
      "definition.npz");
  Output("spike-cluster --v v.npy --v-threshold -0.5 --v-min -3 -o minimum.npz");
  const auto definition =
      Value(client_.SpikeCluster({.v = v,
                                  .v_threshold = thresholds,
                                  .options = {.t_in = 0, .rule = ClusterRule::kDefinition, .v_min = std::nullopt},
                                  .index_output = true}));
  const auto minimum = Value(client_.SpikeCluster(
      {.v = v, .v_threshold = -0.5f, .options = {.t_in = 1, .rule = ClusterRule::kReference, .v_min = -3}}));
  const auto expect = [&](const std::string& file, const SpikeClusterResult& result) {
    ExpectSame(Read(Path(file + ":n_o")), result.n_o);
    ExpectSame(Read(Path(file + ":k_positive")), result.k_positive);
    ExpectSame(Read(Path(file + ":k_negative")), result.k_negative);
  };
  expect("definition.npz", definition);
  expect("minimum.npz", minimum);
}

TEST_F(Spikectl, KernelDotProductKnowsEveryKernel) {
  const RowMatrix<float> x = RowMatrix<float>::Random(7, 5), y = RowMatrix<float>::Random(3, 5);
  Save("x.npy", x);
  Save("y.npy", y);
  const std::pair<const char*, Kernel> kernels[] = {{"linear", LinearKernel{}},
                                                    {"polynomial --d 3", PolynomialKernel{3}},
                                                    {"sigmoid --alpha -0.5", SigmoidKernel{-0.5}},
                                                    {"gaussian --sigma 2", GaussianKernel{2}}};
  for (const auto& [flags, kernel] : kernels) {
    Output(absl::StrCat("kernel-dot-product --x x.npy --y y.npy -o ret.npy --kernel ", flags));
    ExpectSame(Read(Path("ret.npy")), Value(client_.KernelDotProduct({.x = x, .y = y, .kernel = kernel})));
  }
  Output("kernel-dot-product --x x.npy --kernel linear -o ret.npz");
  ExpectSame(Read(Path("ret.npz:ret")), Value(client_.KernelDotProduct({.x = x, .kernel = LinearKernel{}})));

  EXPECT_THAT(Error("kernel-dot-product --x x.npy --kernel gaussian", 2), HasSubstr("--kernel gaussian needs --sigma"));
  EXPECT_THAT(Error("kernel-dot-product --x x.npy --kernel linear --d 2", 2),
              HasSubstr("--d is for --kernel polynomial"));
  EXPECT_THAT(Error("kernel-dot-product --x x.npy --kernel cubic", 2),
              HasSubstr("got cubic; need linear|polynomial|sigmoid|gaussian"));
}

TEST_F(Spikectl, SpikeSimilarLossReturnsTheLossAndItsGradient) {
  const RowMatrix<float> spikes = (RowMatrix<float>::Random(6, 9).array() > 0).cast<float>();
  const RowMatrix<float> labels = (RowMatrix<float>::Random(6, 2).array() > 0).cast<float>();
  Save("spikes.npy", spikes);
  Save("labels.npy", labels);
  const auto result = Value(client_.SpikeSimilarLoss({.spikes = spikes,
                                                      .labels = labels,
                                                      .kernel = GaussianKernel{3},
                                                      .loss_type = LossType::kBce,
                                                      .compute_gradient = true}));
  const std::string command =
      "spike-similar-loss --spikes spikes.npy --labels labels.npy --kernel gaussian --sigma 3 --loss-type bce ";
  EXPECT_THAT(Output(command), MatchesRegex("loss  [0-9.]+\n"));
  EXPECT_EQ(Json(command).at("loss").get<float>(), result.loss);
  Output(command + "--gradient -o loss.npz");
  ExpectSame(Read(Path("loss.npz:loss")), result.loss);
  ExpectSame(Read(Path("loss.npz:grad_spikes")), *result.grad_spikes);
  Output(command + "--gradient -o grad.npy");
  ExpectSame(Read(Path("grad.npy")), *result.grad_spikes);
}

TEST_F(Spikectl, RedundantOneHotReturnsCodes) {
  Save("labels.npy", std::vector<int64_t>{2, 0, 1});
  EXPECT_THAT(Json("redundant-one-hot --labels labels.npy --num-classes 3 --n 2 --mask-dtype bool -o codes.npy"),
              json::parse(R"({"codes": {"dtype": "BOOL", "shape": [3, 6], "values": [
                  false, false, false, false, true, true, true, true, false, false, false, false,
                  false, false, true, true, false, false]}, "written": "codes.npy"})"));
  ExpectSame(Read(Path("codes.npy")),
             Value(client_.RedundantOneHot(
                 {.labels = std::vector<int64_t>{2, 0, 1}, .num_classes = 3, .n = 2, .mask_dtype = DataType::kBool})));
  EXPECT_THAT(Error("redundant-one-hot --labels labels.npy --num-classes 2", 1),
              StartsWith("spikectl: INVALID_ARGUMENT: labels: "));
}

TEST_F(Spikectl, FirstSpikeIndexReturnsStepsOrAMask) {
  Save("spikes.npy", TensorView(absl::MakeConstSpan(std::vector<uint8_t>{0, 1, 1, 0, 0, 0}), {2, 3}));
  EXPECT_EQ(Json("first-spike-index --spikes spikes.npy --index-output"),
            json::parse(R"({"index": {"dtype": "INT32", "shape": [2], "values": [1, -1]}})"));
  EXPECT_EQ(Output("first-spike-index --spikes spikes.npy"), "index  BOOL  [2, 3]  0 1 0 0 0 0\n");
}

TEST_F(Spikectl, ThresholdMarginReturnsThresholdsOfTheMode) {
  Save("labels.npy", TensorView(absl::MakeConstSpan(std::vector<float>{0, 1, 1, 0}), {2, 2}));
  EXPECT_EQ(Json("threshold-margin --label-one-hot labels.npy --eval-threshold 0.7"),
            json::parse(R"({"v_threshold": {"dtype": "FLOAT32", "shape": [], "values": [0.7]}})"));
  EXPECT_EQ(Output("threshold-margin --label-one-hot labels.npy --training --threshold0 0.5 --threshold1 2"),
            "v_threshold  FLOAT32  [2, 2]  0.5 2 2 0.5\n");
}

TEST_F(Spikectl, StcaLossReturnsTheLossAndItsGradient) {
  const std::string v = Golden("spike_cluster", "random_0/inputs/v"),
                    n_d = Golden("spike_cluster", "random_0/inputs/n_d");
  const Tensor v_tensor = Read(v), n_d_tensor = Read(n_d);
  const auto result = Value(
      client_.StcaLoss({.v = v_tensor, .v_threshold = 1.0f, .t_in = 1, .n_d = n_d_tensor, .compute_gradient = true}));
  Output(absl::StrCat("stca-loss --v ", v, " --v-threshold 1 --n-d ", n_d, " --gradient -o loss.npz"));
  ExpectSame(Read(Path("loss.npz:loss")), Read(Golden("spike_cluster", "random_0/outputs/stca_loss_at_step")));
  ExpectSame(Read(Path("loss.npz:n_o")), result.n_o);
  ExpectSame(Read(Path("loss.npz:grad_v")), *result.grad_v);
}

TEST_F(Spikectl, JsonElidesLargeArraysAndTheSummaryTellsTheirRange) {
  Save("x.npy", RowMatrix<float>(RowMatrix<float>::Identity(40, 40)));
  EXPECT_EQ(Json("kernel-dot-product --x x.npy --kernel linear"),
            json::parse(R"({"ret": {"dtype": "FLOAT32", "shape": [40, 40], "elided": true}})"));
  EXPECT_EQ(Output("kernel-dot-product --x x.npy --kernel linear"),
            "ret  FLOAT32  [40, 40]  min 0  mean 0.025  max 1\n");
}

TEST_F(Spikectl, JsonNamesNumbersThatAreNotFinite) {
  Save("x.npy", TensorView(absl::MakeConstSpan(std::vector<float>{1e30f}), {1, 1}));
  EXPECT_EQ(Json("kernel-dot-product --x x.npy --kernel linear").at("ret").at("values"),
            json::parse(R"(["Infinity"])"));
}

TEST_F(Spikectl, ErrorsOfFilesNameTheOptionTheFileAndWhatIsThere) {
  ASSERT_TRUE(npz::WriteNpz(Path("two.npz"), {{"a", TensorView(1.0f)}, {"b", TensorView(2.0f)}}).ok());
  std::ofstream(Path("text.npy")) << "no array";
  const auto error = [&](const std::string& v) { return Error("spike-cluster --v-threshold 1 --v " + v, 1); };
  EXPECT_EQ(error("absent.npy"), "spikectl: --v: absent.npy: cannot open: No such file or directory\n");
  EXPECT_THAT(error("two.npz:c"), AllOf(HasSubstr("--v: two.npz: no array c"), HasSubstr("a, b")));
  EXPECT_THAT(error("two.npz"), AllOf(HasSubstr("no name given"), HasSubstr("a, b")));
  EXPECT_THAT(error("text.npy"), HasSubstr("--v: text.npy: "));
  EXPECT_THAT(error("text.txt"), HasSubstr("need FILE.npy"));
  EXPECT_THAT(Error("spike-cluster --v absent.npy --v-threshold much", 1), HasSubstr("absent.npy"));
}

TEST_F(Spikectl, ErrorsOfTheServiceHaveTheirCodeAndLeaveTheOutputAsItWas) {
  Save("v.npy", std::vector<int32_t>{1, 2});
  std::ofstream(Path("out.npz")) << "old";
  EXPECT_THAT(Error("spike-cluster --v v.npy --v-threshold 1 -o out.npz", 1),
              AllOf(StartsWith("spikectl: INVALID_ARGUMENT: v"), HasSubstr("INT32"), HasSubstr("FLOAT32")));
  EXPECT_EQ(Bytes("out.npz"), "old");
  Save("v.npy", RowMatrix<float>(RowMatrix<float>::Zero(3, 2)));
  EXPECT_THAT(Error("spike-cluster --v v.npy --v-threshold 1 -o out.npy", 1),
              HasSubstr("3 arrays (n_o, k_positive, k_negative); a .npy file holds one, need FILE.npz"));
  EXPECT_FALSE(Exists("out.npy"));
  EXPECT_THAT(Error("spike-cluster --v v.npy --v-threshold much", 2),
              HasSubstr("--v-threshold: got much; need a number"));
  EXPECT_THAT(Error("spike-cluster --v v.npy --v-threshold 1 -o absent/out.npz", 1), HasSubstr("absent/out.npz: "));
}

TEST_F(Spikectl, MistakesInTheCommandLineExitWith2) {
  EXPECT_THAT(Error("spike-cluster --nonsense", 2), HasSubstr("(see spikectl spike-cluster --help)"));
  EXPECT_THAT(Error("health --nonsense --server x", 2), HasSubstr("--nonsense"));
  EXPECT_THAT(Error("spike-cluster --v-threshold 1", 2), HasSubstr("--v is required"));
  EXPECT_THAT(Error("spike-clutser", 2), HasSubstr("unknown command spike-clutser; did you mean spike-cluster?"));
  EXPECT_THAT(Error("network lits", 2), HasSubstr("unknown command lits; did you mean list?"));
  EXPECT_THAT(Error("", 2), HasSubstr("need a command"));
  EXPECT_THAT(Error("--nonsense", 2), HasSubstr("unknown option --nonsense"));
  EXPECT_THAT(Error("health --server x --timeout 0", 2), HasSubstr("--timeout: got 0; need seconds > 0"));
  EXPECT_THAT(Error("spike-cluster --v v.npy --v-threshold 1 -o out.txt", 2), HasSubstr(".npz or .npy"));
}

TEST_F(Spikectl, NetworksAndHealthNeedAServer) {
  EXPECT_THAT(Error("network list", 2), HasSubstr("network list needs --server ADDRESS"));
  EXPECT_THAT(Error("health", 2), HasSubstr("health needs --server ADDRESS"));
}

TEST_F(Spikectl, AServerThatCannotBeReachedIsUnavailable) {
  Save("labels.npy", std::vector<int32_t>{1, 2});
  for (const char* command : {"health", "network list", "redundant-one-hot --labels labels.npy --num-classes 3"}) {
    EXPECT_THAT(Error(absl::StrCat("--server unix:absent.sock ", command), 1), StartsWith("spikectl: UNAVAILABLE: "));
  }
}

TEST_F(Spikectl, ShowsProgressOfLongWorkOnATerminalAndErasesIt) {
  // The retries on a server that cannot be reached take 350 ms at least.
  int terminal;
  const pid_t child = forkpty(&terminal, nullptr, nullptr, nullptr);
  ASSERT_GE(child, 0);
  if (child == 0) {
    setenv("TERM", "xterm", 1);
    execl(SPIKECTL, "spikectl", "network", "list", "--server", "unix:absent.sock", nullptr);
    _exit(127);
  }
  std::string shown;
  char buffer[1024];
  for (ssize_t n; (n = read(terminal, buffer, sizeof buffer)) > 0;) shown.append(buffer, n);
  waitpid(child, nullptr, 0);
  close(terminal);
  EXPECT_THAT(shown, AllOf(HasSubstr("\r| network list on unix:absent.sock  0.3 s "),
                           HasSubstr("\r\033[Kspikectl: UNAVAILABLE: ")));
}

TEST_F(Spikectl, RasterAndHeatmapDrawPictures) {
  const RowMatrix<uint8_t> spikes = (RowMatrix<float>::Random(6, 20).array() > 0).cast<uint8_t>();
  Save("spikes.npy", spikes);
  Save("batch.npy", TensorView(absl::MakeConstSpan(spikes.data(), 120), {6, 4, 5}));
  EXPECT_EQ(Output("raster spikes.npy --title Spikes -o raster.png"), "wrote raster.png\n");
  EXPECT_THAT(Bytes("raster.png"), StartsWith("\x89PNG"));
  Output("raster batch.npy --sample 3 -o sample.svg");
  EXPECT_THAT(Bytes("sample.svg"), HasSubstr("<svg"));
  EXPECT_EQ(Json("heatmap spikes.npy --value-label volts -o heatmap.svg").at("written"), "heatmap.svg");
  EXPECT_THAT(Bytes("heatmap.svg"), AllOf(HasSubstr("<svg"), HasSubstr("volts")));

  // A sample is the same picture as the matrix that it is.
  RowMatrix<uint8_t> sample(6, 5);
  for (int t = 0; t < 6; ++t) sample.row(t) = spikes.row(t).segment(15, 5);
  Save("one.npy", sample);
  Output("raster one.npy -o one.svg");
  EXPECT_EQ(Bytes("one.svg"), Bytes("sample.svg"));

  EXPECT_THAT(Error("raster batch.npy -o x.png", 1), HasSubstr("shape [6, 4, 5]; need a matrix, or --sample"));
  EXPECT_THAT(Error("raster batch.npy --sample 4 -o x.png", 1), HasSubstr("--sample: 4; need 0 to 3"));
  EXPECT_THAT(Error("heatmap spikes.npy -o x.jpg", 2), HasSubstr(".png or .svg"));
  EXPECT_FALSE(Exists("x.png"));
}

// With a server of its own.
class SpikectlOnServer : public Spikectl {
 protected:
  void SetUp() override {
    int ends[2];
    ASSERT_EQ(pipe(ends), 0);
    server_process_ = fork();
    ASSERT_GE(server_process_, 0);
    if (server_process_ == 0) {
      dup2(ends[1], STDOUT_FILENO);
      close(ends[0]);
      close(ends[1]);
      execl(SPIKESERVE, "spikeserve", "--listen=127.0.0.1:0", nullptr);
      _exit(127);
    }
    close(ends[1]);
    std::string line;
    for (char c; read(ends[0], &c, 1) == 1 && c != '\n';) line += c;
    close(ends[0]);
    ASSERT_THAT(line, StartsWith("spikeserve listening on "));
    server_ = std::string(absl::StripPrefix(line, "spikeserve listening on "));

    ASSERT_TRUE(npz::WriteNpz(Path("weights.npz"), {{"fc", weight_}, {"bias", bias_}}).ok());
    std::ofstream(Path("net.json")) << R"([{"name": "fc", "linear": {"weight": "weights.npz:fc",
                                                                     "bias": "weights.npz:bias"}},
                                           {"name": "out", "lifNode": {"tau": 2, "vThreshold": 0.5, "monitor": true}},
                                           {"dropout": {"p": 0.25, "seed": 7}}])";
    Save("input.npy", TensorView(absl::MakeConstSpan(input_), {4, 2, 5}));
  }

  void TearDown() override {
    kill(server_process_, SIGTERM);
    int status;
    waitpid(server_process_, &status, 0);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  }

  std::string Create() const {
    const std::string name = Output("network create net.json");
    EXPECT_THAT(name, MatchesRegex("[0-9a-f]{32}\n"));
    return name.substr(0, 32);
  }

  const RowMatrix<float> weight_ = RowMatrix<float>::Random(3, 5);
  const std::vector<float> bias_ = {0.5, 0, 0.25};
  const std::vector<float> input_ = std::vector<float>(40, 0.75f);
  pid_t server_process_ = -1;
};

TEST_F(SpikectlOnServer, HealthExitsWith0) {
  EXPECT_EQ(Output("health"), server_ + " serves\n");
  EXPECT_EQ(Json("health --timeout 3 --server " + server_), json::parse(R"({"serving": true})"));
}

TEST_F(SpikectlOnServer, FunctionsAreTheSameAsInProcess) {
  const std::string command = "spike-cluster --index-output --v-threshold 0.5 --v " +
                              Golden("spike_cluster", "random_0/inputs/v") + " --json --server ";
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
  EXPECT_THAT(error(R"([{"linear": {"weight": "weights.npz:fd"}}])"),
              AllOf(HasSubstr("bad.json: layers[0].linear.weight: "), HasSubstr("no array fd"), HasSubstr("bias, fc")));
  EXPECT_THAT(error(R"([{"lif_node": {"tau": 0}}])"),
              StartsWith("spikectl: INVALID_ARGUMENT: layers[0].lif_node.tau: "));
}

}  // namespace
}  // namespace spikeserve

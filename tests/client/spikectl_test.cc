// What spikectl does by itself.

#include <fstream>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/spikectl_testing.h"
#include "support/address_space_limit.h"

namespace spikeserve::testing {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::StartsWith;

const std::vector<std::string> kCommands = {
    "spike-cluster",
    "kernel-dot-product",
    "kernel-dot-product-vjp",
    "spike-similar-loss",
    "redundant-one-hot",
    "first-spike-index",
    "threshold-margin",
    "stca-loss",
    "network create",
    "network get",
    "network list",
    "network save",
    "network load",
    "network delete",
    "network forward",
    "network run",
    "network set-training",
    "network set-threshold-margin",
    "network reset",
    "network train-step",
    "network backward",
    "network zero-gradients",
    "network apply-gradients",
    "train",
    "raster",
    "heatmap",
    "health",
    "load",
    "top",
};

TEST_F(Spikectl, PrintsItsVersion) { EXPECT_EQ(Output("--version"), "spikectl 0.1.0\n"); }

TEST_F(Spikectl, HelpListsEveryCommandAndTheHelpOfEachHasAnExample) {
  const std::string help = Output("--help");
  for (const char* group : {"Functions:", "Networks:", "Training:", "Drawing:", "Server:"})
    EXPECT_THAT(help, HasSubstr(group));
  for (const std::string& command : kCommands) {
    EXPECT_THAT(help, HasSubstr("\n  " + command + " "));
    const std::string own = Output(command + " --help");
    EXPECT_THAT(own, AllOf(HasSubstr("Usage: spikectl " + command), HasSubstr("\nExample:\n")));
    EXPECT_THAT(own.substr(own.find("\nExample:\n")), HasSubstr("spikectl " + command));
  }
}

TEST_F(Spikectl, SpikeClusterWritesWhatTheReferenceReturns) {
  const auto golden = [](const std::string& name) { return Golden("spike_cluster", "random_3/" + name); };
  const std::string out = Output(absl::StrCat("spike-cluster --v ", golden("inputs/v"),
                                              " --v-threshold 0.9 --t-in 3 --mask-dtype bit -o out.npz"));
  EXPECT_THAT(out, MatchesRegex("n_o         FLOAT32  .17.      min [0-9.]+  mean [0-9.]+  max [0-9.]+\n"
                                "k_positive  BIT      .50, 17.  [0-9]+ true of 850\n"
                                "k_negative  BIT      .50, 17.  [0-9]+ true of 850\n"
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

TEST_F(Spikectl, KernelDotProductVjpReturnsTheGradients) {
  const RowMatrix<float> x = RowMatrix<float>::Random(7, 5), y = RowMatrix<float>::Random(3, 5);
  const RowMatrix<float> grad = RowMatrix<float>::Random(7, 3), grad_self = RowMatrix<float>::Random(7, 7);
  Save("x.npy", x);
  Save("y.npy", y);
  Save("grad.npy", grad);
  Save("grad_self.npy", grad_self);
  const Kernel kernel = GaussianKernel{2};
  const std::string command = "kernel-dot-product-vjp --x x.npy --kernel gaussian --sigma 2 ";
  Output(command + "--y y.npy --grad-output grad.npy -o both.npz");
  const auto both = Value(client_.KernelDotProductVjp({.x = x, .y = y, .kernel = kernel, .grad_output = grad}));
  ExpectSame(Read(Path("both.npz:grad_x")), both.grad_x);
  ExpectSame(Read(Path("both.npz:grad_y")), *both.grad_y);
  Output(command + "--grad-output grad_self.npy -o grad_x.npy");
  ExpectSame(Read(Path("grad_x.npy")),
             Value(client_.KernelDotProductVjp({.x = x, .kernel = kernel, .grad_output = grad_self})).grad_x);
  EXPECT_FALSE(Json(command + "--grad-output grad_self.npy").contains("grad_y"));
  EXPECT_THAT(Error(command + "--grad-output grad.npy", 1),
              StartsWith("spikectl: INVALID_ARGUMENT: grad_output: [7, 3]; need [7, 7]"));
  EXPECT_THAT(Error(command, 2), HasSubstr("--grad-output is required"));
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
  const auto golden = [](const std::string& name) { return Golden("spike_cluster", "random_3/" + name); };
  Output(absl::StrCat("stca-loss --v ", golden("inputs/v"), " --v-threshold 0.9 --t-in 3 --n-d ", golden("inputs/n_d"),
                      " --gradient -o loss.npz"));
  EXPECT_FLOAT_EQ(Read(Path("loss.npz:loss")).values<float>()[0],
                  Read(golden("outputs/stca_loss_at_step")).values<float>()[0]);
  ExpectSame(Read(Path("loss.npz:n_o")), Read(golden("outputs/n_o")));
  ExpectSame(Read(Path("loss.npz:grad_v")), Read(golden("outputs/stca_grad_at_step")));
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
  EXPECT_THAT(Error("spike-cluster --v v.npy --v-threshold much", 2),
              HasSubstr("--v-threshold: got much; need a number"));
  EXPECT_THAT(Error("spike-cluster --v v.npy --v-threshold 1 -o absent/out.npz", 1), HasSubstr("absent/out.npz: "));
}

TEST_F(Spikectl, WhatCannotBeWrittenIsShownAllTheSame) {
  Save("v.npy", RowMatrix<float>(RowMatrix<float>::Zero(3, 2)));
  const std::string command = "spike-cluster --v v.npy --v-threshold 1 ";
  const Outcome three = Run(command + "-o out.npy");
  EXPECT_EQ(three.exit_code, 1);
  EXPECT_THAT(three.err, HasSubstr("3 arrays (n_o, k_positive, k_negative); a .npy file holds one, need FILE.npz"));
  EXPECT_EQ(three.out, Output(command));
  EXPECT_FALSE(Exists("out.npy"));
  std::filesystem::create_symlink("/dev/full", Path("full.npz"));
  const Outcome full = Run(command + "-o full.npz");
  EXPECT_EQ(full.exit_code, 1);
  EXPECT_THAT(full.err, HasSubstr("full.npz: "));
  EXPECT_EQ(full.out, Output(command));
}

TEST_F(Spikectl, WherePlainlyNothingCanBeWrittenNothingIsDone) {
  const std::string command = "spike-cluster --v absent.npy --v-threshold 1 -o ";
  EXPECT_EQ(Error(command + "none/out.npz", 1),
            "spikectl: none/out.npz: cannot be written there: No such file or directory\n");
  std::filesystem::create_directory(Path("folder.npz"));
  EXPECT_EQ(Error(command + "folder.npz", 1), "spikectl: folder.npz: cannot be written there: Is a directory\n");
}

TEST_F(Spikectl, ErrorsAreLinesThatATerminalObeysInNothing) {
  EXPECT_EQ(Error(R"sh(spike-cluster --v-threshold 1 --v "$(printf 'a\nb\033[2J\302\233c\377.npy')")sh", 1),
            "spikectl: --v: a b\\u001b[2J\\u009bc\xEF\xBF\xBD.npy: cannot open: No such file or directory\n");
}

TEST_F(Spikectl, AFileThatDoesNotFitIntoMemoryIsNotRead) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "a sanitizer's allocator ends the program";
#endif
  const AddressSpaceLimit limit(rlim_t{1} << 40);
  std::ofstream(Path("v.npy")) << "sparse";
  std::filesystem::resize_file(Path("v.npy"), uint64_t{1} << 42);
  EXPECT_EQ(Error("spike-cluster --v-threshold 1 --v v.npy", 1),
            "spikectl: --v: v.npy: no memory for all of it, of 4398046511104 bytes and more\n");
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
  const std::optional<std::string> shown = ShownOnTerminal({"network", "list", "--server", "unix:absent.sock"});
  // A chroot without devpts has none.
  if (!shown) GTEST_SKIP() << "no pseudo-terminals here";
  EXPECT_THAT(*shown, AllOf(HasSubstr("\r| network list on unix:absent.sock  0."),
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
  Save("none.npy", TensorView(DataType::kBool, {int64_t{1} << 62, 1, 0}, nullptr));
  EXPECT_THAT(Error("raster none.npy --sample 0 -o x.png", 1), HasSubstr("shape [4611686018427387904, 1, 0]"));
  EXPECT_THAT(Error("raster batch.npy --sample 4 -o x.png", 1), HasSubstr("--sample: 4; need 0 to 3"));
  EXPECT_THAT(Error("heatmap spikes.npy -o x.jpg", 2), HasSubstr(".png or .svg"));
  EXPECT_FALSE(Exists("x.png"));
}

TEST_F(Spikectl, LoadComputesInThisProcessAndShowsALineOnATerminal) {
  EXPECT_EQ(Json("load --method stca-loss --calls 10").at("calls"), 10);
  const std::optional<std::string> shown = ShownOnTerminal({"load", "--method", "stca-loss", "--duration", "500ms"});
  // A chroot without devpts has none.
  if (!shown) GTEST_SKIP() << "no pseudo-terminals here";
  EXPECT_THAT(*shown, AllOf(HasSubstr("\rstca-loss  0."), HasSubstr(" s of 500ms  "), HasSubstr(" 0 errors\033[K"),
                            HasSubstr("\r\033[Kmethod            stca-loss\r\n")));
}

TEST_F(Spikectl, LoadRefusesWhatItCannotDo) {
  EXPECT_THAT(Error("load", 2), HasSubstr("--method is required"));
  EXPECT_THAT(Error("load --method clusters", 2), HasSubstr("--method: got clusters; need spike-cluster|"));
  for (const char* option : {"--size 0", "--size 4XB", "--concurrency 0", "--rate 0", "--calls 0"}) {
    Error(absl::StrCat("load --method stca-loss ", option), 2);
  }
  for (const char* duration : {"0s", "-1s", "ten", "inf"}) {
    EXPECT_THAT(Error(absl::StrCat("load --method stca-loss --duration=", duration), 2),
                HasSubstr("need a time such as 10s or 500ms"));
  }
}

}  // namespace
}  // namespace spikeserve::testing

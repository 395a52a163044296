// spikectl train.

#include <signal.h>

#include <chrono>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "client/spikectl_server_testing.h"
#include "spikeserve/client/checkpoint.h"

namespace spikeserve::testing {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;

using ::testing::StartsWith;

constexpr int kSamples = 90, kFeatures = 6, kSteps = 5;

// Three classes, each of which has two of the six features.
void WriteData(const std::string& folder) {
  std::vector<float> images, trains;
  std::vector<int32_t> labels;
  for (int i = 0; i < kSamples; ++i) {
    labels.push_back(i % 3);
    for (int f = 0; f < kFeatures; ++f) {
      images.push_back((f / 2 == i % 3 ? 12.0f : 2.0f) + static_cast<float>((i * 7 + f * 5) % 8));
    }
  }
  for (int i = 0; i < kSamples; ++i) {
    for (int t = 0; t < kSteps; ++t) {
      for (int f = 0; f < kFeatures; ++f) trains.push_back(images[i * kFeatures + f] > 3.0f * t + 2 ? 1 : 0);
    }
  }
  const TensorView image_view(absl::MakeConstSpan(images), {kSamples, kFeatures});
  const TensorView train_view(absl::MakeConstSpan(trains), {kSamples, kSteps, kFeatures});
  ASSERT_TRUE(
      npz::WriteNpz(folder + "/data.npz", {{"images", image_view}, {"labels", labels}, {"trains", train_view}}).ok());
}

const char kTrain[] = "train data.npz --input-scale 0.0625 --hidden 16 --learning-rate 0.02 --quiet --batch 16 ";

class SpikectlTrain : public Spikectl {
 protected:
  void SetUp() override { WriteData(Path("")); }

  // Runs the command, which writes net.ckpt, and returns its bytes.
  std::string Checkpoint(const std::string& arguments) const {
    Output(absl::StrCat(arguments, " --save net.ckpt"));
    return Bytes("net.ckpt");
  }
};

class SpikectlTrainOnServer : public SpikectlWithServer {
 protected:
  void SetUp() override {
    SpikectlWithServer::SetUp();
    WriteData(Path(""));
  }
};

TEST_F(SpikectlTrain, TrainsSavesAndDraws) {
  const std::string train = std::string(kTrain) + "--test 30 --epochs 20 --save net.ckpt --curve curve.png";
  const json report = Json(train);
  EXPECT_EQ(report.at("epochs"), 20);
  EXPECT_EQ(report.at("steps"), 80);
  EXPECT_GT(report.at("training_accuracy"), 0.9);
  EXPECT_GT(report.at("test_accuracy"), 0.9);
  EXPECT_GT(report.at("samples_per_second"), 0);
  EXPECT_EQ(report.at("checkpoint"), "net.ckpt");
  EXPECT_EQ(report.at("curve"), "curve.png");
  const json& history = report.at("history");
  ASSERT_EQ(history.size(), 20u);
  EXPECT_EQ(history[19].at("epoch"), 20);
  EXPECT_EQ(history[19].at("loss"), report.at("loss"));
  EXPECT_EQ(history[19].at("test_accuracy"), report.at("test_accuracy"));
  EXPECT_LT(history[19].at("loss"), history[0].at("loss"));
  EXPECT_THAT(Bytes("curve.png"), StartsWith("\x89PNG"));
  EXPECT_EQ(Value(ReadCheckpoint(Path("net.ckpt"))).optimizer_state.steps, 80);

  EXPECT_THAT(
      Output(train),
      MatchesRegex("epochs              20\nsteps               80\nloss                [0-9.]+\n"
                   "training_accuracy   [0-9.]+ % .[0-9]+ of 60.\ntest_accuracy       [0-9.]+ % .[0-9]+ of 30.\n"
                   "seconds             [0-9.]+\nsamples_per_second  [0-9]+\nwrote net.ckpt\nwrote curve.png\n"));
}

TEST_F(SpikectlTrain, TheSameCommandGivesTheSameNetworkAndAnotherSeedAnother) {
  const std::string train = std::string(kTrain) + "--test 30 --epochs 3 ";
  const std::string one = Checkpoint(train + "--seed 1");
  EXPECT_EQ(Checkpoint(train + "--seed 1"), one);
  EXPECT_NE(Checkpoint(train + "--seed 2"), one);
}

TEST_F(SpikectlTrain, ResumeGoesOnAsIfNothingHadBeen) {
  const std::string whole = Checkpoint(std::string(kTrain) + "--test 30 --epochs 5");
  Output(std::string(kTrain) + "--test 30 --epochs 2 --save two.ckpt");
  const std::string resume = "train data.npz --input-scale 0.0625 --learning-rate 0.02 --quiet --batch 16 --test 30 ";
  const json report = Json(resume + "--resume two.ckpt --epochs 5 --save net.ckpt");
  EXPECT_EQ(Bytes("net.ckpt"), whole);
  EXPECT_EQ(report.at("history")[0].at("epoch"), 3);
  EXPECT_EQ(report.at("steps"), 20);

  // Where nothing is left to do, the network is told of and stays as it is.
  const json done = Json(resume + "--resume net.ckpt --epochs 5 --save same.ckpt");
  EXPECT_EQ(Bytes("same.ckpt"), whole);
  EXPECT_EQ(done.at("test_accuracy"), report.at("test_accuracy"));
  EXPECT_EQ(done.count("loss"), 0u);
}

TEST_F(SpikectlTrain, SpikeTrainsHaveTheirTimeInTheSecondDimension) {
  const json report = Json(
      "train data.npz --input-name trains --time-dimension --hidden 16 --learning-rate 0.02 --quiet --epochs 20 "
      "--batch 16 --test 30");
  EXPECT_GT(report.at("test_accuracy"), 0.8);
  EXPECT_THAT(Error(std::string(kTrain) + "--time-dimension --steps 5", 2),
              HasSubstr("--steps is for constant currents"));
}

TEST_F(SpikectlTrain, TakesLayersLossesMarginAndAnotherOptimizer) {
  std::ofstream(Path("net.json")) << R"([
      {"name": "fc1", "linear": {"weight": [12, 6], "bias": [12]}},
      {"name": "hidden", "lif_node": {"tau": 2, "v_threshold": 0.2, "surrogate": {"sigmoid": {"alpha": 4}}}},
      {"name": "fc2", "linear": {"weight": [6, 12], "bias": [6]}},
      {"name": "out", "if_node": {"v_threshold": 0.5, "surrogate": {"sigmoid": {"alpha": 4}}}}])";
  const std::string train =
      "train data.npz --input-scale 0.0625 --layers net.json --quiet --batch 16 --steps 6 --test 30 "
      "--optimizer sgd --learning-rate 0.05 --momentum 0.9 --weight-decay 0.0001 --loss count "
      "--loss similarity,layer=hidden,weight=0.1 --margin --threshold0 0.4 --threshold1 0.6";
  EXPECT_GT(Json(train + " --epochs 30").at("test_accuracy"), 0.9);
  EXPECT_NE(Checkpoint(train + " --epochs 2"), Checkpoint(train + " --epochs 2 --loss rate"));
  const json checkpoint = [&] {
    Output(train + " --epochs 1 --save net.ckpt.json");
    return json::parse(Bytes("net.ckpt.json"));
  }();
  EXPECT_EQ(checkpoint.at("optimizer_state").at("optimizer").at("sgd").at("momentum"), 0.9);
  EXPECT_THAT(Error(train + " --loss rate,layer=fc1", 1), StartsWith("spikectl: INVALID_ARGUMENT: losses[2].layer"));
  EXPECT_THAT(Error("train data.npz --layers absent.json", 1), StartsWith("spikectl: absent.json: "));
}

TEST_F(SpikectlTrain, TestsOnAnotherFile) {
  std::filesystem::copy(Path("data.npz"), Path("test.npz"));
  const json report = Json(std::string(kTrain) + "--epochs 10 --test test.npz");
  EXPECT_EQ(report.at("test_accuracy"), report.at("training_accuracy"));
  ASSERT_TRUE(
      npz::WriteNpz(Path("other.npz"), {{"images", TensorView(absl::MakeConstSpan(std::vector<float>(8)), {2, 4})},
                                        {"labels", std::vector<int32_t>{0, 1}}})
          .ok());
  EXPECT_THAT(Error(std::string(kTrain) + "--test other.npz", 1),
              StartsWith("spikectl: other.npz: samples of shape [4]; need [6], as in data.npz"));
}

TEST_F(SpikectlTrain, ShowsALineForEachEpochWhereThereIsNoTerminal) {
  const Outcome outcome = Run("train data.npz --input-scale 0.0625 --hidden 8 --epochs 3 --test 30");
  EXPECT_EQ(outcome.exit_code, 0);
  const std::vector<std::string> lines = absl::StrSplit(outcome.err, '\n', absl::SkipEmpty());
  ASSERT_EQ(lines.size(), 3u) << outcome.err;
  EXPECT_THAT(lines[1], MatchesRegex("epoch 2/3  loss [0-9.]+  training [0-9.]+ %  test [0-9.]+ %  [0-9]+ samples/s"));
}

TEST_F(SpikectlTrain, ShowsALineThatChangesOnATerminalAndErasesIt) {
  const std::string data = Path("data.npz");
  const std::optional<std::string> shown =
      ShownOnTerminal({"train", data.c_str(), "--hidden", "8", "--epochs", "3", "--input-scale", "0.0625"});
  // A chroot without devpts has none.
  if (!shown) GTEST_SKIP() << "no pseudo-terminals here";
  EXPECT_THAT(*shown, AllOf(HasSubstr("\repoch 1/3  loss "), HasSubstr("\repoch 3/3  loss "),
                            HasSubstr(" samples/s\033[K\r\033[Kepochs              3\r\n")));
}

TEST_F(SpikectlTrain, ASignalEndsItAfterAStepWithTheCheckpointWritten) {
  for (const int signal : {SIGINT, SIGTERM}) {
    // With the program's process number in a file, and its output beside it.
    const std::string command = absl::StrCat("cd ", Path(""), " && (SPIKESERVE_SERVER= '" SPIKECTL "' ", kTrain,
                                             "--epochs 1000000000 --save-every 1 --save stopped.ckpt --json >out 2>err "
                                             "& echo $! >pid; wait $!; echo $? >rc)");
    std::remove(Path("stopped.ckpt").c_str());
    std::thread program([&] { EXPECT_EQ(std::system(command.c_str()), 0); });
    while (!Exists("stopped.ckpt")) std::this_thread::sleep_for(std::chrono::milliseconds(10));
    ASSERT_EQ(kill(std::stoi(Bytes("pid")), signal), 0);
    program.join();
    EXPECT_EQ(std::stoi(Bytes("rc")), 128 + signal);
    EXPECT_EQ(Bytes("err"), "");
    const json report = json::parse(Bytes("out"));
    EXPECT_EQ(report.at("interrupted"), true);
    EXPECT_EQ(report.at("checkpoint"), "stopped.ckpt");
    const int64_t steps = report.at("steps");
    EXPECT_EQ(Value(ReadCheckpoint(Path("stopped.ckpt"))).optimizer_state.steps, steps);

    // Going on to the end of the epoch is the same as never having stopped.
    const std::string epochs = absl::StrCat("--epochs ", (steps + 5) / 6);
    Output(
        "train data.npz --input-scale 0.0625 --learning-rate 0.02 --quiet --batch 16 --resume stopped.ckpt --save "
        "resumed.ckpt " +
        epochs);
    EXPECT_EQ(Bytes("resumed.ckpt"), Checkpoint(kTrain + epochs));
  }
}

TEST_F(SpikectlTrain, ASecondSignalEndsItAtOnceWhicheverItIs) {
  // It cannot end after its step: the server is stopped.
  ServerProcess server({"--listen=127.0.0.1:0"});
  const std::vector<std::string> addresses = server.WaitForAddresses();
  ASSERT_EQ(addresses.size(), 1u);
  const std::string command =
      absl::StrCat("cd ", Path(""), " && (SPIKESERVE_SERVER= '" SPIKECTL "' ", kTrain, "--epochs 1000000000 --server ",
                   addresses[0], " --save-every 1 --save second.ckpt >out 2>err & echo $! >pid; wait $!; echo $? >rc)");
  std::thread program([&] { EXPECT_EQ(std::system(command.c_str()), 0); });
  while (!Exists("second.ckpt")) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  server.Signal(SIGSTOP);
  const int pid = std::stoi(Bytes("pid"));
  ASSERT_EQ(kill(pid, SIGINT), 0);
  // Until it has been noted: then it is no longer caught.
  const auto caught = [&] {
    std::ifstream status(absl::StrCat("/proc/", pid, "/status"));
    for (std::string line; std::getline(status, line);) {
      if (line.rfind("SigCgt:", 0) == 0) return (std::stoull(line.substr(8), nullptr, 16) >> (SIGTERM - 1) & 1) != 0;
    }
    return false;
  };
  while (caught()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  kill(pid, SIGTERM);
  program.join();
  EXPECT_EQ(std::stoi(Bytes("rc")), 128 + SIGTERM);
  server.Signal(SIGCONT);
  server.Signal(SIGTERM);
  EXPECT_EQ(server.WaitForExit(), 0);
}

TEST_F(SpikectlTrain, SaysWhatIsWrongWithTheData) {
  const auto error = [&](const TensorView& images, const TensorView& labels, const std::string& flags = "") {
    EXPECT_TRUE(npz::WriteNpz(Path("bad.npz"), {{"images", images}, {"labels", labels}}).ok());
    return Error("train bad.npz --hidden 4 --quiet " + flags, 1);
  };
  const std::vector<float> ones(12, 1);
  const TensorView four(absl::MakeConstSpan(ones), {4, 3}), flat(absl::MakeConstSpan(ones), {12});
  const TensorView none(absl::MakeConstSpan(ones).subspan(0, 0), {0, 3});
  const std::vector<int64_t> labels = {0, 1, 0, 1}, three = {0, 1, 0}, negative = {0, -1, 0, 1}, no_labels;
  EXPECT_THAT(error(none, no_labels), StartsWith("spikectl: bad.npz: inputs: shape [0, 3]; need [N, features"));
  EXPECT_THAT(error(flat, labels), StartsWith("spikectl: bad.npz: inputs: shape [12]; need [N, features"));
  EXPECT_THAT(error(four, labels, "--time-dimension"), HasSubstr("inputs: shape [4, 3]; need [N, T, features"));
  EXPECT_THAT(error(four, three), StartsWith("spikectl: bad.npz: labels: shape [3]; need [4]"));
  EXPECT_THAT(error(four, negative), StartsWith("spikectl: bad.npz: labels: -1; need 0 to "));
  EXPECT_THAT(error(four, std::vector<float>{0, 1, 0, 1}), HasSubstr("labels: FLOAT32; need integers"));
  EXPECT_THAT(error(four, labels, "--test 4"), StartsWith("spikectl: bad.npz: test: 4; need 1 to 3"));
  EXPECT_THAT(error(four, labels, "--test 0"), HasSubstr("test: 0; need 1 to 3"));
  EXPECT_THAT(error(four, labels, "--num-classes 1"), HasSubstr("--num-classes: got 1; need more than the largest"));
  const Shape empty = {0, int64_t{1} << 62, 4};
  EXPECT_THAT(error(TensorView(DataType::kFloat32, empty, nullptr), labels), HasSubstr("[0, 4611686018427387904, 4]"));
  EXPECT_THAT(error(four, labels, "--input-shape 2,2"), HasSubstr("need as many elements as [2, 2] has"));
  EXPECT_THAT(Error("train bad.npz --hidden 4 --input-name pixels", 1),
              AllOf(StartsWith("spikectl: bad.npz: no array pixels"), HasSubstr("images, labels")));
  EXPECT_THAT(Error("train absent.npz --hidden 4", 1), StartsWith("spikectl: absent.npz: "));
}

TEST_F(SpikectlTrain, SaysWhatIsWrongWithTheCommandLine) {
  EXPECT_THAT(Error("train data.npz", 2), HasSubstr("need one of --hidden, --layers and --resume"));
  EXPECT_THAT(Error("train data.npz --hidden 4 --resume net.ckpt", 2), HasSubstr("need one of"));
  EXPECT_THAT(Error("train data.npz --resume net.ckpt --tau 3", 2), HasSubstr("are for --hidden"));
  EXPECT_THAT(Error("train data.npy --hidden 4", 2), HasSubstr("got data.npy; need FILE.npz"));
  EXPECT_THAT(Error("train data.npz --hidden 4 --test many", 2), HasSubstr("--test: got many; need a number"));
  EXPECT_THAT(Error("train data.npz --hidden 4 --save-every 2", 2), HasSubstr("--save-every needs --save"));
  EXPECT_THAT(Error("train data.npz --hidden 4 --curve curve.jpg", 2), HasSubstr("ends in .png or .svg"));
  for (const char* flag : {"--hidden 0", "--epochs -1", "--batch 0", "--steps 0", "--num-classes 0"}) {
    Error(absl::StrCat("train data.npz ", flag), 2);
  }
  EXPECT_THAT(Error("train data.npz --hidden 16777216,16777216", 1), HasSubstr("weights; need at most 2^29"));
  // Before the training, not after it.
  EXPECT_THAT(Error(std::string(kTrain) + "--epochs 1000000000 --save absent/net.ckpt", 1),
              StartsWith("spikectl: absent/net.ckpt: cannot be written there"));
  std::ofstream(Path("net.ckpt")) << "no checkpoint";
  EXPECT_THAT(Error("train data.npz --resume net.ckpt", 1), StartsWith("spikectl: net.ckpt: "));
}

TEST_F(SpikectlTrainOnServer, TrainsOnAServerAsInProcess) {
  const std::string train = std::string(kTrain) + "--test 30 --epochs 4 --save ";
  Output(train + "server.ckpt");
  Output(train + "here.ckpt --server ''");
  EXPECT_EQ(Bytes("server.ckpt"), Bytes("here.ckpt"));
  EXPECT_EQ(Output("network list"), "no networks\n");
  EXPECT_THAT(Error(train + "x.ckpt --server unix:absent.sock", 1), StartsWith("spikectl: UNAVAILABLE: "));
}

TEST_F(SpikectlTrainOnServer, TheNumberOfThreadsChangesNothing) {
  const std::string train = std::string(kTrain) + "--epochs 3 --save ";
  StopServer();
  StartServer({"--threads=1"});
  Output(train + "one.ckpt");
  StopServer();
  StartServer({"--threads=2"});
  Output(train + "two.ckpt");
  EXPECT_EQ(Bytes("one.ckpt"), Bytes("two.ckpt"));
}

}  // namespace
}  // namespace spikeserve::testing

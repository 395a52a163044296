// Checkpoint files: what is refused. tests/suites/checkpoint_suite.cc has what goes on.

#include "spikeserve/client/checkpoint.h"

#include <fstream>
#include <sstream>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "support/test_folder.h"

namespace spikeserve {
namespace {

using ::testing::HasSubstr;

// A folder of its own for each test.
class Checkpoint : public ::testing::Test {
 protected:
  std::string Path(const std::string& name) const { return folder_.Path(name); }

 private:
  const testing::TestFolder folder_;
};

std::string Read(const std::string& path) {
  std::ostringstream bytes;
  bytes << std::ifstream(path, std::ios::binary).rdbuf();
  return bytes.str();
}

void Write(const std::string& path, const std::string& bytes) { std::ofstream(path, std::ios::binary) << bytes; }

CreateNetworkArgs OneNeuron() { return {.layers = {{.name = "out", .kind = IfNode{}}}, .training = true}; }

// The error is about the file.
std::string Refusal(const std::string& path, absl::StatusCode code = absl::StatusCode::kInvalidArgument) {
  const absl::Status status = ReadCheckpoint(path).status();
  EXPECT_EQ(status.code(), code) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr(path));
  return std::string(status.message());
}

TEST_F(Checkpoint, IsReadAsItWasWritten) {
  for (const char* name : {"one.pb", "one.json"}) {
    ASSERT_TRUE(WriteCheckpoint(OneNeuron(), Path(name)).ok());
    const auto checkpoint = ReadCheckpoint(Path(name));
    ASSERT_TRUE(checkpoint.ok()) << checkpoint.status();
    ASSERT_EQ(checkpoint->layers.size(), 1u);
    EXPECT_EQ(checkpoint->layers[0].name, "out");
    EXPECT_TRUE(checkpoint->training);
  }
  EXPECT_THAT(Read(Path("one.json")), HasSubstr("\"format_version\": 1"));
}

TEST_F(Checkpoint, OfAnotherFormatVersionIsRefused) {
  const std::string json = Path("version.json"), binary = Path("version.pb");
  ASSERT_TRUE(WriteCheckpoint(OneNeuron(), json).ok() && WriteCheckpoint(OneNeuron(), binary).ok());
  std::string text = Read(json);
  const size_t at = text.find("\"format_version\": 1");
  ASSERT_NE(at, std::string::npos);
  Write(json, text.replace(at, 19, "\"format_version\": 2"));
  EXPECT_THAT(Refusal(json), HasSubstr("format_version: 2; need 1"));
  // The last one of a field counts: 6, a number, is 2.
  Write(binary, Read(binary) + "\x30\x02");
  EXPECT_THAT(Refusal(binary), HasSubstr("format_version: 2; need 1"));
}

TEST_F(Checkpoint, IsNotWhatHasNoFormatVersionOrNoLayers) {
  Write(Path("none.json"), "{\"layers\": [{\"if_node\": {}}]}");
  EXPECT_THAT(Refusal(Path("none.json")), HasSubstr("format_version"));
  Write(Path("empty.json"), "{\"format_version\": 1}");
  EXPECT_THAT(Refusal(Path("empty.json")), HasSubstr("layers"));
  Write(Path("empty.pb"), "");
  EXPECT_THAT(Refusal(Path("empty.pb")), HasSubstr("no checkpoint"));
  Write(Path("noise.pb"), "this is no checkpoint");
  EXPECT_THAT(Refusal(Path("noise.pb")), HasSubstr("no checkpoint"));
  Write(Path("noise.json"), "{");
  Refusal(Path("noise.json"));
  Write(Path("other.json"), "{\"format_version\": 1, \"layers\": [{}], \"else\": 3}");
  EXPECT_THAT(Refusal(Path("other.json")), HasSubstr("else"));
}

TEST_F(Checkpoint, NamesWhatIsWrongInIt) {
  Write(Path("kind.json"), "{\"format_version\": 1, \"layers\": [{\"name\": \"a\"}]}");
  EXPECT_THAT(Refusal(Path("kind.json")), HasSubstr("layers[0].kind"));
  Write(
      Path("state.json"),
      "{\"format_version\": 1, \"layers\": [{\"if_node\": {}}], \"state\": {\"layers\": [{\"v\": {\"shape\": [1]}}]}}");
  EXPECT_THAT(Refusal(Path("state.json")), HasSubstr("state.layers[0].v"));
}

TEST_F(Checkpoint, TensorsWithoutTheirElementsAreRefused) {
  Write(Path("huge.json"), R"({"format_version": 1, "layers": [{"linear": {"weight": {
      "dtype": "DATA_TYPE_BOOL", "shape": [1048576, 1048576], "event_deltas": [1]}}}]})");
  EXPECT_THAT(Refusal(Path("huge.json"), absl::StatusCode::kResourceExhausted),
              HasSubstr("tensors of 4398046511104 bytes in a message of "));
}

TEST_F(Checkpoint, CutOffAnywhereIsRefused) {
  ASSERT_TRUE(WriteCheckpoint(OneNeuron(), Path("cut.pb")).ok());
  const std::string whole = Read(Path("cut.pb"));
  for (size_t length = 0; length < whole.size(); ++length) {
    Write(Path("cut.pb"), whole.substr(0, length));
    Refusal(Path("cut.pb"));
  }
}

TEST_F(Checkpoint, OfAFileThatIsNotThereIsNotFound) {
  Refusal(Path("nowhere/none.pb"), absl::StatusCode::kNotFound);
  const absl::Status status = WriteCheckpoint(OneNeuron(), Path("nowhere/none.pb"));
  EXPECT_FALSE(status.ok());
  EXPECT_THAT(std::string(status.message()), HasSubstr(Path("nowhere/none.pb")));
}

}  // namespace
}  // namespace spikeserve

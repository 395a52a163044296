#include "identity/file_watch.h"

#include <fstream>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "support/events.h"
#include "support/test_folder.h"

namespace spikeserve::identity {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr char kInUse[] = "files read again, and in use flags=--tokens";

std::string NotTaken(const std::string& reason) {
  return "files not taken; what was read before stays in use reason=" + reason;
}

// What is told of looks at a file that has changed, each of which ends with the next one of `ends`, until one is OK.
std::vector<std::string> Told(const std::vector<absl::Status>& ends) {
  const testing::TestFolder folder;
  const std::string path = folder.Path("file");
  std::ofstream(path) << "new";
  testing::Events events;
  size_t looks = 0;
  const auto take = [&](const std::vector<std::string>& contents) {
    EXPECT_THAT(contents, ElementsAre("new"));
    return ends.at(looks++);
  };
  const FileWatch watch({{"--tokens", path}}, {"old"}, take, events.sink(), absl::Milliseconds(1));
  for (size_t event = 0; events[event] != kInUse; ++event) continue;
  return events.texts();
}

const absl::Status kOk, kOther = absl::InvalidArgumentError("another key"), kGone = absl::InvalidArgumentError("gone");

TEST(FileWatchTest, TellsThatChangedFilesAreInUse) { EXPECT_THAT(Told({kOk}), ElementsAre(kInUse)); }

TEST(FileWatchTest, DoesNotTellOfAnErrorThatTheNextLookDoesNotFind) {
  EXPECT_THAT(Told({kOther, kOk}), ElementsAre(kInUse));
}

TEST(FileWatchTest, TellsOnceOfAnErrorThatStays) {
  EXPECT_THAT(Told({kOther, kOther, kOther, kOther, kOk}), ElementsAre(NotTaken("another key"), kInUse));
}

TEST(FileWatchTest, TellsOfEachErrorThatFollowsAnother) {
  EXPECT_THAT(Told({kOther, kOther, kGone, kGone, kOk}),
              ElementsAre(NotTaken("another key"), NotTaken("gone"), kInUse));
}

TEST(FileWatchTest, TellsOfAFileThatIsGone) {
  const testing::TestFolder folder;
  testing::Events events;
  const FileWatch watch(
      {{"--tokens", folder.Path("no_such_file")}}, {"old"},
      [](const std::vector<std::string>&) { return absl::OkStatus(); }, events.sink(), absl::Milliseconds(1));
  EXPECT_THAT(events[0], HasSubstr("files not taken; what was read before stays in use reason=--tokens: "));
}

}  // namespace
}  // namespace spikeserve::identity

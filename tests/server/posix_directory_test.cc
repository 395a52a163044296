#include "state/posix_directory.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "support/test_folder.h"

namespace {

// The inodes of what was synced.
std::vector<ino_t> synced;

// Whether files are on a file system that may only be read.
bool read_only = false;

}  // namespace

// In place of the system's library's, which it calls.
extern "C" int fsync(int descriptor) {
  struct stat info;
  if (fstat(descriptor, &info) == 0) synced.push_back(info.st_ino);
  return static_cast<int>(syscall(SYS_fsync, descriptor));
}

extern "C" int unlinkat(int directory, const char* name, int flags) {
  if (!read_only) return static_cast<int>(syscall(SYS_unlinkat, directory, name, flags));
  errno = EROFS;
  return -1;
}

namespace spikeserve::state {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

class PosixDirectoryTest : public ::testing::Test {
 protected:
  std::unique_ptr<Directory> Open() const {
    auto directory = OpenDirectory(path_);
    EXPECT_TRUE(directory.ok()) << directory.status();
    return *std::move(directory);
  }

  void Write(Directory& directory, const std::string& name, std::string_view bytes) const {
    const auto file = directory.Create(name);
    ASSERT_TRUE(file.ok()) << file.status();
    ASSERT_EQ((*file)->Write(bytes).value_or(0), bytes.size());
    EXPECT_TRUE((*file)->Sync().ok());
  }

  mode_t ModeOf(const std::string& path) const {
    struct stat info;
    EXPECT_EQ(stat(path.c_str(), &info), 0);
    return info.st_mode & 07777;
  }

  const testing::TestFolder folder_;
  const std::string path_ = folder_.Path("directory");
};

TEST_F(PosixDirectoryTest, FilesAreWrittenRenamedReadAndRemoved) {
  const auto directory = Open();
  Write(*directory, "a", "bytes");
  EXPECT_TRUE(directory->Rename("a", "b").ok());
  EXPECT_TRUE(directory->Sync().ok());
  EXPECT_EQ(*directory->Read("b", 5), "bytes");
  EXPECT_EQ(directory->Read("b", 4).status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(directory->Read("a", 5).status().code(), absl::StatusCode::kNotFound);
  for (int i = 0; i < 2; ++i) EXPECT_THAT(*directory->List(), UnorderedElementsAre(".", "..", kLockFile, "b"));
  EXPECT_TRUE(directory->Remove("b").ok());
  EXPECT_EQ(directory->Remove("b").code(), absl::StatusCode::kNotFound);
}

// Linux says of any name there that the file system may only be read. Whoever removes what is not there has done so: it
// would be tried again at each turn, for each network that was ever removed.
TEST_F(PosixDirectoryTest, AFileThatIsNotThereIsNotFoundWhereNothingMayBeWritten) {
  const auto directory = Open();
  Write(*directory, "a", "bytes");
  read_only = true;
  const absl::Status there = directory->Remove("a"), not_there = directory->Remove("b");
  read_only = false;
  EXPECT_THAT(std::string(there.message()), HasSubstr("Read-only file system"));
  EXPECT_EQ(not_there.code(), absl::StatusCode::kNotFound);
}

TEST_F(PosixDirectoryTest, ItAndItsFilesAreForTheOwnerAlone) {
  const mode_t mask = umask(0);
  const auto directory = Open();
  Write(*directory, "a", "bytes");
  umask(mask);
  EXPECT_EQ(ModeOf(path_), 0700u);
  EXPECT_EQ(ModeOf(path_ + "/a"), 0600u);
  EXPECT_EQ(ModeOf(path_ + "/" + kLockFile), 0600u);
}

// A crash could take the new directory, with all that was synced in it.
TEST_F(PosixDirectoryTest, WhereItIsMadeItsNameIsSynced) {
  struct stat parent;
  ASSERT_EQ(stat(folder_.path().c_str(), &parent), 0);
  synced.clear();
  auto directory = Open();
  EXPECT_THAT(synced, Contains(parent.st_ino));
  directory.reset();
  synced.clear();
  Open();
  EXPECT_THAT(synced, IsEmpty()) << "it was there";
}

TEST_F(PosixDirectoryTest, IsOpenedByOneAtATime) {
  auto directory = Open();
  const auto second = OpenDirectory(path_);
  EXPECT_EQ(second.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(second.status().message()), HasSubstr("another server uses " + path_));
  directory.reset();
  EXPECT_TRUE(OpenDirectory(path_).ok());
}

TEST_F(PosixDirectoryTest, APathThatIsNoDirectoryIsAnErrorThatNamesIt) {
  std::ofstream(path_) << "a file";
  EXPECT_THAT(std::string(OpenDirectory(path_).status().message()), HasSubstr(path_ + ": Not a directory"));
  std::filesystem::remove(path_);
  EXPECT_THAT(std::string(OpenDirectory(path_ + "/a/b").status().message()), HasSubstr(path_ + "/a/b: No such file"));
}

// A server that opened a pipe would wait for whoever writes to it.
TEST_F(PosixDirectoryTest, OnlyRegularFilesAreRead) {
  const auto directory = Open();
  ASSERT_EQ(mkfifo((path_ + "/pipe").c_str(), 0600), 0);
  ASSERT_EQ(mkdir((path_ + "/folder").c_str(), 0700), 0);
  ASSERT_EQ(symlink("/etc/hostname", (path_ + "/link").c_str()), 0);
  for (const char* name : {"pipe", "folder", "link"}) EXPECT_FALSE(directory->Read(name, 1000).ok()) << name;
  EXPECT_FALSE(directory->Create("link").ok()) << "nothing is written through it either";
}

TEST_F(PosixDirectoryTest, AFileOfMoreBytesThanMemoryIsNotRead) {
  const auto directory = Open();
  Write(*directory, "a", "");
  ASSERT_EQ(truncate((path_ + "/a").c_str(), int64_t{1} << 42), 0);
  EXPECT_EQ(directory->Read("a", int64_t{1} << 31).status().code(), absl::StatusCode::kResourceExhausted);
}

}  // namespace
}  // namespace spikeserve::state

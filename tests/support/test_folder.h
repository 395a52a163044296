// A folder for the files of a test. Tests run beside each other, as processes: what they write shall not meet, nor
// stay.

#ifndef SPIKESERVE_TESTS_SUPPORT_TEST_FOLDER_H_
#define SPIKESERVE_TESTS_SUPPORT_TEST_FOLDER_H_

#include <stdlib.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <system_error>

#include "gtest/gtest.h"

namespace spikeserve::testing {

// Nobody else's and empty at first; goes with all that it holds. Its path is short, as those of sockets have to be.
class TestFolder {
 public:
  TestFolder() {
    if (mkdtemp(path_.data()) != nullptr) return;
    std::perror(path_.c_str());
    std::abort();
  }
  ~TestFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TestFolder(const TestFolder&) = delete;
  TestFolder& operator=(const TestFolder&) = delete;

  const std::string& path() const { return path_; }
  // Of a file of that name in it.
  std::string Path(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_ = std::filesystem::path(::testing::TempDir()) / "spikeserve-XXXXXX";
};

}  // namespace spikeserve::testing

#endif  // SPIKESERVE_TESTS_SUPPORT_TEST_FOLDER_H_

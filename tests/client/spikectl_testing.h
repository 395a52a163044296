// Runs spikectl as its users do: the built program, on files.

#ifndef SPIKESERVE_TESTS_CLIENT_SPIKECTL_TESTING_H_
#define SPIKESERVE_TESTS_CLIENT_SPIKECTL_TESTING_H_

#include <pty.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <optional>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "npz/npy.h"
#include "npz/npz.h"
#include "spikeserve/client/client.h"
#include "support/test_folder.h"

namespace spikeserve::testing {

// A golden case's array.
inline std::string Golden(const std::string& function, const std::string& member) {
  return absl::StrCat(SPIKESERVE_GOLDEN_DIR "/", function, ".npz:", member);
}

inline Tensor Read(const std::string& array) {
  absl::StatusOr<Tensor> tensor = npz::ReadArray(array);
  if (tensor.ok()) return *std::move(tensor);
  ADD_FAILURE() << tensor.status();
  return Tensor();
}

inline void ExpectSame(const TensorView& got, const TensorView& wanted) {
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

struct OnTerminal {
  std::string shown;
  int exit_code;
};

// Runs spikectl on a terminal; nullopt where there are no pseudo-terminals. `react` is called with the terminal and all
// that is shown, when there is more of it.
inline std::optional<OnTerminal> RunOnTerminal(
    std::vector<const char*> arguments, const winsize* size = nullptr,
    const std::function<void(int terminal, const std::string& shown)>& react = [](int, const std::string&) {}) {
  arguments.insert(arguments.begin(), "spikectl");
  arguments.push_back(nullptr);
  int terminal;
  const pid_t child = forkpty(&terminal, nullptr, nullptr, size);
  if (child < 0) return std::nullopt;
  if (child == 0) {
    setenv("TERM", "xterm", 1);
    execv(SPIKECTL, const_cast<char* const*>(arguments.data()));
    _exit(127);
  }
  std::string shown;
  char buffer[1024];
  for (ssize_t n; (n = read(terminal, buffer, sizeof buffer)) > 0;) {
    shown.append(buffer, n);
    react(terminal, shown);
  }
  int status;
  waitpid(child, &status, 0);
  close(terminal);
  return OnTerminal{shown, WIFEXITED(status) ? WEXITSTATUS(status) : -1};
}

// The same, where what it shows is all that matters.
inline std::optional<std::string> ShownOnTerminal(std::vector<const char*> arguments) {
  const std::optional<OnTerminal> run = RunOnTerminal(std::move(arguments));
  return run ? std::optional(run->shown) : std::nullopt;
}

// A folder of its own for each test, in which the program runs.
class Spikectl : public ::testing::Test {
 protected:
  std::string Path(const std::string& name) const { return folder_.Path(name); }
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
    const int status = std::system(absl::StrCat("cd ", folder_.path(), " && export SPIKESERVE_SERVER='", server_,
                                                "' && '" SPIKECTL "' ", arguments, " >stdout 2>stderr")
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
  nlohmann::json Json(const std::string& arguments) const {
    return nlohmann::json::parse(Output(arguments + " --json"));
  }

  // Runs it where that fails, and returns its message.
  std::string Error(const std::string& arguments, int exit_code) const {
    const Outcome outcome = Run(arguments);
    EXPECT_EQ(outcome.exit_code, exit_code) << arguments;
    EXPECT_EQ(outcome.out, "") << arguments;
    EXPECT_THAT(outcome.err, ::testing::StartsWith("spikectl: ")) << arguments;
    EXPECT_EQ(outcome.err.find('\n') + 1, outcome.err.size()) << outcome.err;
    return outcome.err;
  }

  Client client_ = Value(Client::InProcess());
  std::string server_;

 private:
  const TestFolder folder_;
};

}  // namespace spikeserve::testing

#endif  // SPIKESERVE_TESTS_CLIENT_SPIKECTL_TESTING_H_

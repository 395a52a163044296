#include "support/server_process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "gtest/gtest.h"

namespace spikeserve::testing {
namespace {

int ExitCodeOf(int status) { return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status); }

}  // namespace

ServerProcess::ServerProcess(const std::vector<std::string>& flags, const std::vector<std::string>& environment) {
  static std::atomic<int> count = 0;
  stderr_path_ = absl::StrCat(::testing::TempDir(), "spikeserve-stderr-", getpid(), "-", count++);
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) {
    ADD_FAILURE() << "no pipe";
    return;
  }
  // Nothing is allocated between fork and exec.
  std::vector<char*> arguments = {const_cast<char*>("spikeserve")};
  for (const std::string& flag : flags) arguments.push_back(const_cast<char*>(flag.c_str()));
  arguments.push_back(nullptr);
  std::vector<char*> variables;
  for (char** variable = environ; *variable != nullptr; ++variable) variables.push_back(*variable);
  for (const std::string& variable : environment) variables.push_back(const_cast<char*>(variable.c_str()));
  variables.push_back(nullptr);
  pid_ = fork();
  if (pid_ == 0) {
    dup2(ends[1], STDOUT_FILENO);
    const int error = open(stderr_path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    dup2(error, STDERR_FILENO);
    execve(SPIKESERVE, arguments.data(), variables.data());
    _exit(127);
  }
  close(ends[1]);
  stdout_ = ends[0];
}

ServerProcess::~ServerProcess() {
  if (Running()) {
    Signal(SIGKILL);
    WaitForExit();
  }
  if (stdout_ >= 0) close(stdout_);
  unlink(stderr_path_.c_str());
}

std::vector<std::string> ServerProcess::WaitForAddresses(size_t count) {
  std::vector<std::string> addresses;
  std::string line;
  for (char c; addresses.size() < count && read(stdout_, &c, 1) == 1;) {
    if (c != '\n') {
      line += c;
      continue;
    }
    absl::string_view rest = line;
    if (absl::ConsumePrefix(&rest, "spikeserve listening on ")) addresses.emplace_back(rest);
    line.clear();
  }
  EXPECT_EQ(addresses.size(), count) << Stderr();
  return addresses;
}

const std::string& ServerProcess::address() {
  if (address_.empty()) {
    const std::vector<std::string> addresses = WaitForAddresses();
    if (!addresses.empty()) address_ = addresses[0];
  }
  return address_;
}

void ServerProcess::Signal(int signal) const { kill(pid_, signal); }

bool ServerProcess::Running() {
  if (pid_ < 0 || ended_) return false;
  int status;
  if (waitpid(pid_, &status, WNOHANG) != pid_) return true;
  ended_ = true;
  exit_code_ = ExitCodeOf(status);
  return false;
}

int ServerProcess::WaitForExit() {
  int status;
  if (!ended_ && waitpid(pid_, &status, 0) == pid_) {
    ended_ = true;
    exit_code_ = ExitCodeOf(status);
  }
  return exit_code_;
}

int ServerProcess::End(int signal) {
  Signal(signal);
  return WaitForExit();
}

int ServerProcess::OpenFileDescriptors() const {
  const std::filesystem::directory_iterator all(absl::StrCat("/proc/", pid_, "/fd"));
  return static_cast<int>(std::distance(begin(all), end(all)));
}

int64_t ServerProcess::ResidentBytes() const {
  std::ifstream statm(absl::StrCat("/proc/", pid_, "/statm"));
  int64_t size = 0, resident = 0;
  statm >> size >> resident;
  return resident * sysconf(_SC_PAGESIZE);
}

std::string ServerProcess::Stderr() const {
  std::ifstream file(stderr_path_);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

}  // namespace spikeserve::testing

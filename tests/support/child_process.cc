#include "support/child_process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gtest/gtest.h"

namespace spikeserve::testing {
namespace {

int ExitCodeOf(int status) { return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status); }

}  // namespace

ChildProcess::ChildProcess(const std::string& program, const std::vector<std::string>& arguments,
                           const Options& options) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) {
    ADD_FAILURE() << "no pipe";
    return;
  }
  // Nothing is allocated between fork and exec.
  std::vector<char*> argv = {const_cast<char*>(program.c_str())};
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  std::vector<char*> variables;
  for (char** variable = environ; *variable != nullptr; ++variable) variables.push_back(*variable);
  for (const std::string& variable : options.environment) variables.push_back(const_cast<char*>(variable.c_str()));
  variables.push_back(nullptr);
  pid_ = fork();
  if (pid_ == 0) {
    dup2(ends[1], STDOUT_FILENO);
    if (!options.stderr_path.empty()) {
      dup2(open(options.stderr_path.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600), STDERR_FILENO);
    }
    if (options.stderr_descriptor >= 0) dup2(options.stderr_descriptor, STDERR_FILENO);
    execve(program.c_str(), argv.data(), variables.data());
    _exit(127);
  }
  close(ends[1]);
  stdout_ = ends[0];
}

ChildProcess::~ChildProcess() {
  if (Running()) End(SIGKILL);
  if (stdout_ >= 0) close(stdout_);
}

std::optional<std::string> ChildProcess::ReadLine() {
  std::string line;
  for (char c; read(stdout_, &c, 1) == 1; line += c) {
    if (c == '\n') return line;
  }
  return std::nullopt;
}

void ChildProcess::Signal(int signal) const { kill(pid_, signal); }

bool ChildProcess::Running() {
  if (pid_ < 0 || ended_) return false;
  int status;
  if (waitpid(pid_, &status, WNOHANG) != pid_) return true;
  ended_ = true;
  exit_code_ = ExitCodeOf(status);
  return false;
}

int ChildProcess::WaitForExit() {
  int status;
  if (!ended_ && waitpid(pid_, &status, 0) == pid_) {
    ended_ = true;
    exit_code_ = ExitCodeOf(status);
  }
  return exit_code_;
}

int ChildProcess::End(int signal) {
  Signal(signal);
  return WaitForExit();
}

}  // namespace spikeserve::testing

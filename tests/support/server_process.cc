#include "support/server_process.h"

#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "support/test_folder.h"

namespace spikeserve::testing {

ServerProcess::ServerProcess(const std::vector<std::string>& flags, const Options& options)
    : ChildProcess(SPIKESERVE, flags, options), stderr_path_(options.stderr_path) {}

std::string ServerProcess::NewStderrPath() {
  static const TestFolder folder;
  static std::atomic<int> count = 0;
  return folder.Path(absl::StrCat("stderr-", count++));
}

std::vector<std::string> ServerProcess::WaitForAddresses(size_t count) {
  std::vector<std::string> addresses;
  while (addresses.size() < count) {
    const std::optional<std::string> line = ReadLine();
    if (!line) break;
    absl::string_view rest = *line;
    if (absl::ConsumePrefix(&rest, "spikeserve listening on ")) addresses.emplace_back(rest);
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

int ServerProcess::OpenFileDescriptors() const {
  const std::filesystem::directory_iterator all(absl::StrCat("/proc/", pid(), "/fd"));
  return static_cast<int>(std::distance(begin(all), end(all)));
}

int64_t ServerProcess::ResidentBytes() const {
  std::ifstream statm(absl::StrCat("/proc/", pid(), "/statm"));
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

std::vector<std::string> ServerProcess::Log() const {
  std::vector<std::string> messages;
  std::istringstream lines(Stderr());
  for (std::string line; std::getline(lines, line);) {
    const auto json = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
    // The last line may be half written.
    if (!json.is_object()) continue;
    messages.push_back(absl::StrCat(json.at("level").get<std::string>(), ": ", json.at("message").get<std::string>()));
  }
  return messages;
}

}  // namespace spikeserve::testing

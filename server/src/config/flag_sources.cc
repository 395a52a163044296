#include "config/flag_sources.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <optional>
#include <string_view>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "status_macros.h"

namespace spikeserve::config {
namespace {

// "--max-calls" of "--max-calls=3".
std::string NameOf(const std::string& argument) { return argument.substr(0, argument.find('=')); }

// The value that the command line gives for `flag`, as "--flag=VALUE" or "--flag VALUE".
std::optional<std::string> ValueOf(const std::string& flag, const std::vector<std::string>& command_line) {
  for (size_t i = 0; i < command_line.size(); ++i) {
    if (command_line[i] == flag && i + 1 < command_line.size()) return command_line[i + 1];
    if (absl::StartsWith(command_line[i], absl::StrCat(flag, "="))) return command_line[i].substr(flag.size() + 1);
  }
  return std::nullopt;
}

// What the sources are put together in.
class Collection {
 public:
  explicit Collection(std::vector<std::string> command_line) : from_command_line_(std::move(command_line)) {
    for (const std::string& argument : from_command_line_) taken_.insert(NameOf(argument));
  }

  bool Has(const std::string& flag) const { return taken_.contains(flag); }

  // A flag may be there several times in one source.
  void Add(std::string argument, const std::string& source) {
    const std::string flag = NameOf(argument);
    all_.sources.try_emplace(flag, source);
    all_.arguments.push_back(std::move(argument));
  }

  // The flags added so far hide those of later sources.
  void EndSource() {
    for (const auto& [flag, source] : all_.sources) taken_.insert(flag);
  }

  Arguments Release() && {
    std::move(from_command_line_.begin(), from_command_line_.end(), std::back_inserter(all_.arguments));
    return std::move(all_);
  }

 private:
  std::vector<std::string> from_command_line_;
  absl::flat_hash_set<std::string> taken_;
  Arguments all_;
};

// Null where there is none of that name.
const Flag* Find(const std::vector<Flag>& flags, const std::string& name) {
  const auto flag = std::find_if(flags.begin(), flags.end(), [&](const Flag& one) { return one.name == name; });
  return flag == flags.end() ? nullptr : &*flag;
}

// `next`: the argument after it in its source, if any. The flags' parser would take that for a value that is missing,
// whatever it is.
absl::Status CheckValue(const Flag& flag, const std::string& argument, const std::string* next,
                        const std::string& place) {
  const bool without_value = argument == flag.name;
  const bool missing = without_value ? flag.takes_value && (next == nullptr || absl::StartsWith(*next, "--"))
                                     : argument == absl::StrCat(flag.name, "=");
  if (!missing) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(place, ": got nothing; need a value, or nothing said of the flag"));
}

absl::Status AddFile(const std::string& path, const std::vector<Flag>& flags, Collection& collection) {
  std::ifstream file(path);
  std::string line;
  for (int number = 1; std::getline(file, line); ++number) {
    const std::string argument(absl::StripAsciiWhitespace(line));
    if (argument.empty() || argument[0] == '#') continue;
    const std::string place = absl::StrCat(path, ":", number);
    const std::string name = NameOf(argument);
    const Flag* const flag = Find(flags, name);
    if (name == kFlagFile || flag == nullptr) {
      return absl::InvalidArgumentError(absl::StrCat(
          place, ": got ", argument, "; need --FLAG=VALUE of a flag that --help lists, or # and a comment"));
    }
    SPIKESERVE_RETURN_IF_ERROR(CheckValue(*flag, argument, nullptr, absl::StrCat(place, ": ", name)));
    if (!collection.Has(name)) collection.Add(argument, place);
  }
  if (file.eof()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(kFlagFile, ": cannot read ", path, ": ", std::strerror(errno)));
}

}  // namespace

std::string EnvironmentVariable(const std::string& flag) {
  return absl::StrCat("SPIKESERVE_", absl::AsciiStrToUpper(absl::StrReplaceAll(flag.substr(2), {{"-", "_"}})));
}

absl::StatusOr<Arguments> AddSources(std::vector<std::string> command_line, const std::vector<Flag>& flags) {
  for (size_t i = 0; i < command_line.size(); ++i) {
    const Flag* const flag = Find(flags, NameOf(command_line[i]));
    if (flag == nullptr) continue;
    const std::string* const next = i + 1 < command_line.size() ? &command_line[i + 1] : nullptr;
    SPIKESERVE_RETURN_IF_ERROR(CheckValue(*flag, command_line[i], next, flag->name));
  }
  std::optional<std::string> path = ValueOf(kFlagFile, command_line);
  Collection collection(std::move(command_line));
  for (const Flag& flag : flags) {
    const std::string variable = EnvironmentVariable(flag.name);
    const char* value = std::getenv(variable.c_str());
    if (value == nullptr || collection.Has(flag.name)) continue;
    const std::string argument = absl::StrCat(flag.name, "=", value);
    const std::string place = absl::StrCat("the environment variable ", variable);
    SPIKESERVE_RETURN_IF_ERROR(CheckValue(flag, argument, nullptr, place));
    if (flag.name == kFlagFile) path = value;
    collection.Add(argument, place);
  }
  collection.EndSource();
  if (path) SPIKESERVE_RETURN_IF_ERROR(AddFile(*path, flags, collection));
  return std::move(collection).Release();
}

}  // namespace spikeserve::config

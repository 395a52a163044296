#include "config/flag_sources.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <numeric>
#include <optional>
#include <string_view>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "identity/read_file.h"
#include "status_macros.h"

namespace spikeserve::config {
namespace {

constexpr char kVariablePrefix[] = "SPIKESERVE_";

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

absl::Status GivenTwice(const Flag& flag, const std::string& place) {
  return absl::InvalidArgumentError(absl::StrCat(place, ": ", flag.name, " is given twice; need it once"));
}

// What the sources are put together in.
class Collection {
 public:
  explicit Collection(std::vector<std::string> command_line) : from_command_line_(std::move(command_line)) {
    for (const std::string& argument : from_command_line_) taken_.insert(NameOf(argument));
  }

  bool Has(const std::string& flag) const { return taken_.contains(flag); }

  // Of one source, after its other ones.
  absl::Status Add(const Flag& flag, std::string argument, const std::string& source) {
    if (!all_.sources.try_emplace(flag.name, source).second && !flag.repeatable) return GivenTwice(flag, source);
    all_.arguments.push_back(std::move(argument));
    return absl::OkStatus();
  }

  void AddUnknownVariable(std::string name) { all_.unknown_variables.push_back(std::move(name)); }

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

// As CLI11 reads them.
absl::Status CheckSwitch(const std::string& value, const std::string& place) {
  for (const char* word : {"true", "false", "1", "0", "on", "off", "yes", "no"}) {
    if (absl::EqualsIgnoreCase(value, word)) return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat(place, ": got ", value, "; need true or false"));
}

// `next`: the argument after it in its source, if any. The flags' parser would take that for a value that is missing,
// whatever it is.
absl::Status CheckValue(const Flag& flag, const std::string& argument, const std::string* next,
                        const std::string& place) {
  const bool without_value = argument == flag.name;
  const bool missing = without_value ? flag.takes_value && (next == nullptr || absl::StartsWith(*next, "--"))
                                     : argument == absl::StrCat(flag.name, "=");
  if (missing) {
    return absl::InvalidArgumentError(absl::StrCat(place, ": got nothing; need a value, or nothing said of the flag"));
  }
  const bool is_set_switch = !flag.takes_value && !without_value;
  return is_set_switch ? CheckSwitch(argument.substr(flag.name.size() + 1), place) : absl::OkStatus();
}

// The letters to be put in, left out or changed to make one of the other.
size_t EditDistance(const std::string& a, const std::string& b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 0; i < a.size(); ++i) {
    size_t diagonal = std::exchange(row[0], i + 1);
    for (size_t j = 0; j < b.size(); ++j) {
      const size_t changed = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({changed, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row.back();
}

// Kubernetes sets such, for a service that is named as we are: they are not meant for us.
bool IsOfService(absl::string_view variable) {
  return absl::StartsWith(variable, "SPIKESERVE_SERVICE_") || absl::StartsWith(variable, "SPIKESERVE_PORT");
}

// "; did you mean FLAG?", where there is one that may be meant by `name`.
std::string Suggestion(const std::string& name, const std::vector<Flag>& flags) {
  const Flag* likely = nullptr;
  size_t least = 4;  // A name that differs in more letters is another one.
  for (const Flag& flag : flags) {
    const size_t distance = EditDistance(name, flag.name);
    if (distance >= least) continue;
    least = distance;
    likely = &flag;
  }
  return likely == nullptr ? "" : absl::StrCat("; did you mean ", likely->name, "?");
}

absl::Status AddFile(const std::string& path, const std::vector<Flag>& flags, Collection& collection) {
  const absl::StatusOr<std::string> text = identity::ReadFile(path);
  if (!text.ok()) return absl::InvalidArgumentError(absl::StrCat(kFlagFile, ": ", text.status().message()));
  int number = 0;
  for (const absl::string_view line : absl::StrSplit(*text, '\n')) {
    ++number;
    const std::string argument(absl::StripAsciiWhitespace(line));
    if (argument.empty() || argument[0] == '#') continue;
    const std::string place = absl::StrCat(path, ":", number);
    const std::string name = NameOf(argument);
    const Flag* const flag = Find(flags, name);
    if (name == kFlagFile || flag == nullptr) {
      return absl::InvalidArgumentError(
          absl::StrCat(place, ": got ", argument, "; need --FLAG=VALUE of a flag that --help lists, or # and a comment",
                       Suggestion(name, flags)));
    }
    SPIKESERVE_RETURN_IF_ERROR(CheckValue(*flag, argument, nullptr, absl::StrCat(place, ": ", name)));
    if (!collection.Has(name)) SPIKESERVE_RETURN_IF_ERROR(collection.Add(*flag, argument, place));
  }
  return absl::OkStatus();
}

}  // namespace

std::string EnvironmentVariable(const std::string& flag) {
  return absl::StrCat(kVariablePrefix, absl::AsciiStrToUpper(absl::StrReplaceAll(flag.substr(2), {{"-", "_"}})));
}

absl::StatusOr<Arguments> AddSources(std::vector<std::string> command_line, const std::vector<Flag>& flags) {
  absl::flat_hash_set<std::string> seen;
  for (size_t i = 0; i < command_line.size(); ++i) {
    const std::string name = NameOf(command_line[i]);
    const Flag* const flag = Find(flags, name);
    if (flag == nullptr && absl::StartsWith(name, "--") && name != "--help" && name != "--version") {
      return absl::InvalidArgumentError(
          absl::StrCat(name, ": no such flag", Suggestion(name, flags), "; --help lists the flags"));
    }
    if (flag == nullptr) continue;
    const std::string* const next = i + 1 < command_line.size() ? &command_line[i + 1] : nullptr;
    SPIKESERVE_RETURN_IF_ERROR(CheckValue(*flag, command_line[i], next, flag->name));
    if (!seen.insert(flag->name).second && !flag->repeatable) return GivenTwice(*flag, "the command line");
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
    SPIKESERVE_RETURN_IF_ERROR(collection.Add(flag, argument, place));
  }
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const std::string name(*variable, std::strcspn(*variable, "="));
    const auto is_its = [&](const Flag& flag) { return EnvironmentVariable(flag.name) == name; };
    if (!absl::StartsWith(name, kVariablePrefix) || IsOfService(name)) continue;
    if (std::none_of(flags.begin(), flags.end(), is_its)) collection.AddUnknownVariable(name);
  }
  collection.EndSource();
  if (path) SPIKESERVE_RETURN_IF_ERROR(AddFile(*path, flags, collection));
  return std::move(collection).Release();
}

}  // namespace spikeserve::config

// Where flags come from besides the command line.

#ifndef SPIKESERVE_SERVER_CONFIG_FLAG_SOURCES_H_
#define SPIKESERVE_SERVER_CONFIG_FLAG_SOURCES_H_

#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"

namespace spikeserve::config {

// The flag that names a file of flags.
inline constexpr char kFlagFile[] = "--flagfile";

struct Flag {
  // Such as "--max-calls".
  std::string name;
  // Not so a switch, which may have one: true or false.
  bool takes_value = true;
  bool repeatable = false;
};

// The environment variable of a flag: "SPIKESERVE_MAX_CALLS" of "--max-calls".
std::string EnvironmentVariable(const std::string& flag);

// A command line that has all sources in it.
struct Arguments {
  std::vector<std::string> arguments;
  // Of each flag in it that is not from the command line itself, such as "--max-calls": where it is from, such as
  // "the environment variable SPIKESERVE_MAX_CALLS".
  absl::flat_hash_map<std::string, std::string> sources;
  // The environment variables that look like flags' and are none: misspelled ones, maybe.
  std::vector<std::string> unknown_variables;
};

// `command_line` with those of `flags` added that are not in it, but in the environment or, failing that, in the file.
// INVALID_ARGUMENT for a flag that there is none of, for a file that cannot be read or has something else in it, and
// for a flag without the value that it takes: an argument that begins with "--" is none, unless it is given as
// "--flag=--value". The same for a flag that is there twice in one source, and not repeatable.
absl::StatusOr<Arguments> AddSources(std::vector<std::string> command_line, const std::vector<Flag>& flags);

}  // namespace spikeserve::config

#endif  // SPIKESERVE_SERVER_CONFIG_FLAG_SOURCES_H_

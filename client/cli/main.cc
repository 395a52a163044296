// spikectl: reads the command line, runs the command, writes and shows its report.

#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/strings/str_cat.h"
#include "cli/command.h"
#include "cli/connection_flags.h"
#include "cli/flags.h"
#include "cli/help.h"
#include "file/file.h"
#include "printable.h"
#include "runtime/guarded.h"
#include "status_macros.h"
#include "version.h"

namespace spikeserve::cli {
namespace {

// What all commands have in common.
struct CommonFlags {
  ConnectionFlags connection;
  bool json = false;
  std::string output;
};

int Fail(const std::string& message, int exit_code) {
  std::cerr << "spikectl: " << Printable(message) << "\n";
  return exit_code;
}

std::string SeeHelp(const std::string& command) { return " (see " + command + " --help)"; }

void AddJsonFlag(CLI::App& app, CommonFlags& flags) {
  app.add_flag("--json", flags.json, "Print one JSON object; arrays of more than 1000 elements are elided")
      ->group("Output");
}

// The command's app below `app`, whose parent ("network") is made where it is the first of its children.
CLI::App* AddCommand(CLI::App& app, CommandInfo& info, CommonFlags& flags) {
  CLI::App* parent = &app;
  std::string name = info.name;
  if (const size_t space = name.find(' '); space != name.npos) {
    const std::string parent_name = name.substr(0, space);
    name = name.substr(space + 1);
    const auto parents = app.get_subcommands([&](const CLI::App* a) { return a->get_name() == parent_name; });
    if (!parents.empty()) {
      parent = parents[0];
    } else {
      parent = app.add_subcommand(parent_name, "Networks that a server holds");
      parent->group(info.group)->require_subcommand(1)->fallthrough();
    }
  }
  CLI::App* command = parent->add_subcommand(name, info.summary);
  command->footer(absl::StrCat("Example:\n  ", info.example));
  if (parent == &app) command->group(info.group);
  info.command->AddOptions(*command);
  if (info.where != Where::kHere) AddConnectionFlags(*command, flags.connection);
  if (info.has_arrays) {
    AddOutput(*command, flags.output, {".npz", ".npy"}, "Write the arrays (.npy: just one) to FILE");
  }
  AddJsonFlag(*command, flags);
  return command;
}

// The number of letters to insert, delete or replace to make `a` of `b`.
size_t EditDistance(const std::string& a, const std::string& b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), 0);
  for (size_t i = 0; i < a.size(); ++i) {
    size_t diagonal = std::exchange(row[0], i + 1);
    for (size_t j = 0; j < b.size(); ++j) {
      const size_t replaced = diagonal + (a[i] != b[j]);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j] + 1, diagonal + 1});
    }
  }
  return row.back();
}

// What is wrong with the command line, for which CLI11's error is `error`.
int FailUsage(const CLI::App& app, const CLI::ParseError& error) {
  const CLI::App* at = &app;
  std::string command = app.get_name();
  while (!at->get_subcommands().empty()) {
    at = at->get_subcommands().front();
    absl::StrAppend(&command, " ", at->get_name());
  }
  const std::string help = SeeHelp(command);
  const std::vector<const CLI::App*> subcommands = at->get_subcommands({});
  if (subcommands.empty()) return Fail(error.what() + help, 2);

  // A parent's unknown words fall through to the program's.
  std::vector<std::string> words = at->remaining();
  if (words.empty()) words = app.remaining();
  if (words.empty()) return Fail("need a command" + help, 2);
  if (words[0].substr(0, 1) == "-") return Fail(absl::StrCat("unknown option ", words[0], help), 2);
  const auto distance = [&](const CLI::App* a) { return EditDistance(words[0], a->get_name()); };
  const auto* nearest = *std::min_element(subcommands.begin(), subcommands.end(),
                                          [&](auto* a, auto* b) { return distance(a) < distance(b); });
  const bool near = distance(nearest) <= 2;
  return Fail(
      absl::StrCat("unknown command ", words[0], near ? "; did you mean " + nearest->get_name() + "?" : "", help), 2);
}

// Arrays are as large as their files say, or the server.
constexpr char kOutOfMemory[] = "out of memory";

// The exit code.
absl::StatusOr<int> RunCommand(const CommandInfo& info, const CommonFlags& flags) {
  if (info.where == Where::kServer && flags.connection.server.empty()) {
    return UsageError(absl::StrCat(info.name, " needs --server ADDRESS",
                                   info.name == "health" ? "" : ": networks go with the process that holds them"));
  }
  ConnectOptions options;
  if (!flags.connection.server.empty() && info.where != Where::kHere) {
    absl::StatusOr<ConnectOptions> read = flags.connection.Options();
    if (!read.ok()) return ServiceError(read.status());
    options = *std::move(read);
  }
  // Before the command changes anything.
  if (!flags.output.empty()) SPIKESERVE_RETURN_IF_ERROR(file::CheckCanWrite(flags.output));
  const Caller caller(flags.connection.server, std::move(options), flags.connection.timeout(), info.name);
  SPIKESERVE_ASSIGN_OR_RETURN(Report report, info.command->Run(caller));
  absl::Status written;
  if (!flags.output.empty()) {
    written = server::Guarded([&] { return report.WriteArrays(flags.output); }, kOutOfMemory);
    if (written.ok()) report.AddText("written", flags.output, "wrote " + flags.output);
  }
  // Shown where it cannot be written, too: a call that changed a network cannot be made once more.
  std::cout << (flags.json ? report.ToJson() : report.Summary()) << std::flush;
  if (!std::cout) return absl::DataLossError("cannot write to the standard output");
  SPIKESERVE_RETURN_IF_ERROR(written);
  return report.exit_code();
}

int Main(int argc, char** argv) {
  // What goes wrong is told in one line of ours; gRPC's own log is there for whoever asks for it.
  setenv("GRPC_VERBOSITY", "NONE", /*overwrite=*/0);

  CommonFlags flags;
  flags.connection = ConnectionFlagsFromEnvironment();
  std::vector<CommandInfo> commands = Commands();
  CLI::App app(
      "spikectl computes on spike trains: on a spikeserve server, or without --server by itself.\n"
      "ARRAY is FILE.npy, FILE.npz:NAME, or FILE.npz of one array.",
      "spikectl");
  app.set_version_flag("--version", "spikectl " SPIKESERVE_VERSION)->description("Print the version and exit");
  app.formatter(std::make_shared<HelpFormatter>());
  app.require_subcommand(1);
  AddConnectionFlags(app, flags.connection);
  AddJsonFlag(app, flags);
  app.footer("Each command has a --help of its own, with an example.");
  std::vector<CLI::App*> apps;
  for (CommandInfo& info : commands) apps.push_back(AddCommand(app, info, flags));

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return error.get_exit_code() == 0 ? app.exit(error) : FailUsage(app, error);
  }
  const size_t chosen = std::find_if(apps.begin(), apps.end(), [](auto* a) { return a->parsed(); }) - apps.begin();
  const absl::StatusOr<int> exit_code =
      server::Guarded([&] { return RunCommand(commands[chosen], flags); }, kOutOfMemory);
  if (exit_code.ok()) return *exit_code;
  const std::string message(exit_code.status().message());
  return IsUsageError(exit_code.status()) ? Fail(message + SeeHelp("spikectl " + commands[chosen].name), 2)
                                          : Fail(message, 1);
}

}  // namespace
}  // namespace spikeserve::cli

int main(int argc, char** argv) { return spikeserve::cli::Main(argc, argv); }

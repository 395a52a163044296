// The server's process: its memory, its log and its life cycle.

#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <csignal>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "config/flags.h"
#include "google/protobuf/stubs/logging.h"
#include "process/end_signals.h"
#include "rpc/grpc_lifetime.h"
#include "rpc/server.h"
#include "state/network_files.h"
#include "state/network_saver.h"
#include "state/posix_directory.h"
#include "state/stored_network.h"
#include "telemetry/call_log.h"
#include "telemetry/log.h"
#include "telemetry/metrics_listener.h"
#include "telemetry/server_metrics.h"

namespace {

using spikeserve::config::ServerConfig;
using spikeserve::rpc::Server;
using spikeserve::server::Engine;
using spikeserve::state::Directory;
using spikeserve::state::NetworkFiles;
using spikeserve::state::NetworkSaver;
using spikeserve::telemetry::Log;
using spikeserve::telemetry::LogLevel;
using spikeserve::telemetry::MetricsListener;

constexpr int kExitUsage = 2;
constexpr int kExitCancelled = 3;
constexpr int kExitUnsaved = 4;

// Keeps up to so many bytes of freed memory in each heap for the next calls. gRPC allocates what it receives anew for
// each message, and glibc gives memory back to the system as soon as 128 KB at the end of a heap are free: to map and
// clear it again takes as long as to receive a large message. And as gRPC allocates in one thread and frees in another,
// memory comes back into use the sooner the fewer heaps there are.
void KeepFreedMemory([[maybe_unused]] int64_t bytes) {
#ifdef __GLIBC__
  // Larger blocks than this are mapped, and given back at once, each for itself; more than 32 MiB glibc does not take.
  mallopt(M_MMAP_THRESHOLD, 32 << 20);
  mallopt(M_TRIM_THRESHOLD, static_cast<int>(std::min<int64_t>(bytes, INT_MAX)));
  mallopt(M_ARENA_MAX, std::max(1, static_cast<int>(std::thread::hardware_concurrency() / 2)));
#endif
}

int Fail(const absl::Status& status) {
  std::cerr << "spikeserve: " << status.message() << "\n";
  return kExitUsage;
}

// The networks' files; null without --state-dir.
absl::StatusOr<std::unique_ptr<NetworkFiles>> OpenState(const std::string& path) {
  if (path.empty()) return nullptr;
  absl::StatusOr<std::unique_ptr<Directory>> directory = spikeserve::state::OpenDirectory(path);
  if (!directory.ok()) return absl::InvalidArgumentError(absl::StrCat("--state-dir: ", directory.status().message()));
  return std::make_unique<NetworkFiles>(*std::move(directory));
}

absl::Status LoadState(NetworkFiles& files, Engine& engine, const spikeserve::state::Say& say, Log& log) {
  const absl::StatusOr<int> loaded =
      files.Load([&](const auto& network) { return spikeserve::state::Restore(network, engine); }, say);
  if (!loaded.ok()) return absl::InvalidArgumentError(absl::StrCat("--state-dir: ", loaded.status().message()));
  if (*loaded > 0) log.Write(LogLevel::kInfo, "networks loaded", {{"networks", int64_t{*loaded}}});
  return absl::OkStatus();
}

// Null without --metrics-listen. `engine` and `log` must outlive it.
absl::StatusOr<std::unique_ptr<MetricsListener>> StartMetrics(const std::string& address, Engine& engine,
                                                              const Log& log) {
  if (address.empty()) return nullptr;
  return MetricsListener::Start(
      address, std::make_shared<spikeserve::telemetry::ServerMetrics>(engine, [&log] { return log.dropped(); }));
}

int Serve(ServerConfig config) {
  KeepFreedMemory(config.server.engine.limits.max_idle_buffer_bytes);
  // Who reads the log may go; the server stays.
  std::signal(SIGPIPE, SIG_IGN);
  spikeserve::process::EndSignals signals([options = config.telemetry.log] {
    // A log of its own: the other one may be gone by then. It waits until the line is written.
    Log(options).Write(LogLevel::kWarning, "a second signal, ending at once");
    _exit(kExitCancelled);
  });
  Log log(config.telemetry.log);
  spikeserve::telemetry::CallLog call_log(log, config.telemetry.slow_call);
  config.server.engine.observer = &call_log;
  config.server.log = [&log](const std::string& line) { log.Write(LogLevel::kWarning, line); };
  const auto say_of_state = [&log](const std::string& line) {
    log.Write(LogLevel::kWarning, absl::StrCat("--state-dir: ", line));
  };
  const absl::StatusOr<std::unique_ptr<NetworkFiles>> state = OpenState(config.state_dir);
  if (!state.ok()) return Fail(state.status());
  if (*state != nullptr) {
    config.server.before_listening = [&](Engine& engine) { return LoadState(**state, engine, say_of_state, log); };
  }
  const absl::StatusOr<std::unique_ptr<Server>> server = Server::Start(config.server);
  if (!server.ok()) return Fail(server.status());
  std::optional<NetworkSaver> saver;
  if (*state != nullptr) saver.emplace(**state, (*server)->engine().networks(), config.state_interval, say_of_state);
  // Goes before the engine that it tells of.
  const absl::StatusOr<std::unique_ptr<MetricsListener>> metrics =
      StartMetrics(config.telemetry.metrics_listen, (*server)->engine(), log);
  if (!metrics.ok()) return Fail(metrics.status());
  for (const std::string& address : (*server)->addresses()) {
    std::cout << "spikeserve listening on " << address << std::endl;
    log.Write(LogLevel::kInfo, "listening", {{"address", std::string_view(address)}});
  }
  if (*metrics != nullptr) {
    std::cout << "spikeserve metrics on " << (*metrics)->address() << std::endl;
    log.Write(LogLevel::kInfo, "metrics", {{"address", std::string_view((*metrics)->address())}});
  }
  const std::string signal = signals.Wait();
  log.Write(LogLevel::kInfo, "draining", {{"signal", std::string_view(signal)}});
  (*server)->AnnounceDrain();
  absl::SleepFor(config.drain_delay);
  const bool drained = (*server)->Drain(config.drain_timeout);
  const bool saved = !saver || saver->Save();
  if (!drained) {
    log.Write(LogLevel::kWarning, "calls were cancelled, because they took longer than --drain-timeout");
  } else {
    log.Write(LogLevel::kInfo, "ended");
  }
  if (!saved) return kExitUnsaved;
  return drained ? 0 : kExitCancelled;
}

}  // namespace

int main(int argc, char** argv) {
  // What goes wrong is told in one line of ours; gRPC's own log is there for whoever asks for it.
  setenv("GRPC_VERBOSITY", "NONE", /*overwrite=*/0);
  // What is wrong with a request its caller is told, and not whoever runs the server, in as many lines.
  google::protobuf::SetLogHandler(nullptr);
  // Before the certificates of the configuration are read, by OpenSSL.
  spikeserve::rpc::KeepOpenSslAtExit();
  const absl::StatusOr<spikeserve::config::CommandLine> command_line = spikeserve::config::ParseCommandLine(argc, argv);
  if (!command_line.ok()) return Fail(command_line.status());
  const auto* config = std::get_if<ServerConfig>(&*command_line);
  return config == nullptr ? 0 : Serve(*config);
}

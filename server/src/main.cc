// The server's process: its memory, its log and its life cycle.

#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <climits>
#include <csignal>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "config/flags.h"
#include "google/protobuf/stubs/logging.h"
#include "process/descriptors.h"
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
#include "version.h"

namespace {

using spikeserve::config::ServerConfig;
using spikeserve::rpc::Server;
using spikeserve::server::Engine;
using spikeserve::server::Event;
using spikeserve::server::EventSink;
using spikeserve::server::Severity;
using spikeserve::state::Directory;
using spikeserve::state::NetworkFiles;
using spikeserve::state::NetworkSaver;
using spikeserve::telemetry::Log;
using spikeserve::telemetry::LogLevel;
using spikeserve::telemetry::MetricsListener;
using spikeserve::telemetry::ProcessFacts;

constexpr int kExitUsage = 2;
constexpr int kExitCancelled = 3;
constexpr int kExitUnsaved = 4;

// Keeps up to so many bytes of freed memory in each heap for the next calls. gRPC allocates what it receives anew for
// each message, and glibc gives memory back to the system as soon as 128 KB at the end of a heap are free: to map and
// clear it again takes as long as to receive a large message. And as gRPC allocates in one thread and frees in another,
// memory comes back into use the sooner the fewer heaps there are.
void KeepFreedMemory([[maybe_unused]] int64_t bytes, [[maybe_unused]] int threads) {
#ifdef __GLIBC__
  // Larger blocks than this are mapped, and given back at once, each for itself; more than 32 MiB glibc does not take.
  mallopt(M_MMAP_THRESHOLD, 32 << 20);
  mallopt(M_TRIM_THRESHOLD, static_cast<int>(std::min<int64_t>(bytes, INT_MAX)));
  if (threads <= 0) threads = static_cast<int>(std::thread::hardware_concurrency());
  mallopt(M_ARENA_MAX, std::max(1, threads / 2));
#endif
}

// What a value holds makes no second line, and does nothing to a terminal.
std::string OneLine(absl::string_view text) {
  std::string line;
  for (const char c : text) {
    const std::string one(1, c);
    line += absl::ascii_iscntrl(c) ? absl::CHexEscape(one) : one;
  }
  return line;
}

int Fail(const absl::Status& status) {
  std::cerr << "spikeserve: " << OneLine(status.message()) << "\n";
  return kExitUsage;
}

// What it means that the process ends at once, at a second signal. The signals' thread has it for as long as there is a
// process.
struct EndAtOnce {
  std::atomic<bool> loses_networks = false;
  std::atomic<int> exit_code = kExitCancelled;

  // All that is left is to give memory back, and nothing depends on that.
  void AllIsDone(int code) {
    exit_code = code;
    loses_networks = false;
  }
};

// The networks' files; null without --state-dir.
absl::StatusOr<std::unique_ptr<NetworkFiles>> OpenState(const std::string& path) {
  if (path.empty()) return nullptr;
  absl::StatusOr<std::unique_ptr<Directory>> directory = spikeserve::state::OpenDirectory(path);
  if (!directory.ok()) return absl::InvalidArgumentError(absl::StrCat("--state-dir: ", directory.status().message()));
  return std::make_unique<NetworkFiles>(*std::move(directory));
}

// Networks that were made when callers did not have to be anybody belong to nobody who calls now.
void WarnOfNetworksOfNobody(Engine& engine, const EventSink& events) {
  const auto networks = engine.networks().All();
  const int64_t of_nobody =
      std::count_if(networks.begin(), networks.end(), [](const auto& held) { return held->owner.empty(); });
  if (of_nobody == 0) return;
  events({Severity::kWarning,
          "networks that no caller reaches: they were made without tokens and client certificates",
          {{"networks", of_nobody}}});
}

absl::Status LoadState(NetworkFiles& files, const ServerConfig& config, Engine& engine, const EventSink& events,
                       const spikeserve::process::EndSignals& signals) {
  // That may take minutes, and nobody is answered meanwhile.
  events({Severity::kInfo, "loading networks", {{"state_dir", config.state_dir}}});
  const absl::StatusOr<int> loaded =
      files.Load([&](const auto& network) { return spikeserve::state::Restore(network, engine); }, events,
                 [&] { return signals.HaveCome(); }, [&] { return spikeserve::state::RoomForFile(engine); });
  if (absl::IsCancelled(loaded.status())) return loaded.status();
  if (!loaded.ok()) return absl::InvalidArgumentError(absl::StrCat("--state-dir: ", loaded.status().message()));
  engine.networks().StartIdleTimes();
  if (*loaded > 0) events({Severity::kInfo, "networks loaded", {{"networks", int64_t{*loaded}}}});
  if (config.EachCallerIsSomebody()) WarnOfNetworksOfNobody(engine, events);
  return absl::OkStatus();
}

// Null without --metrics-listen.
absl::StatusOr<std::unique_ptr<MetricsListener>> OpenMetrics(const std::string& address) {
  if (address.empty()) return nullptr;
  return MetricsListener::Start(address);
}

ProcessFacts FactsOf(const Log& log, const Server& server, const std::optional<NetworkSaver>& saver) {
  ProcessFacts facts{.log_warnings = log.lines(LogLevel::kWarning),
                     .log_errors = log.lines(LogLevel::kError),
                     .log_lines_dropped = log.dropped(),
                     .certificate_expiry = server.CertificateExpiry()};
  if (saver) {
    const NetworkSaver::Statistics statistics = saver->statistics();
    facts.saved = {.last_success = statistics.last_success, .failures = statistics.failures};
  }
  return facts;
}

void TellOfStart(const ServerConfig& config, int64_t threads, const EventSink& events) {
  const auto& tls = config.server.tls;
  const auto& limits = config.server.engine.limits;
  events({Severity::kInfo,
          "started",
          {{"version", SPIKESERVE_VERSION},
           {"tls", !tls                     ? "off"
                   : tls->client_ca.empty() ? "on"
                                            : "mutual"},
           {"tokens", config.server.tokens.empty() ? "off" : "on"},
           {"state_dir", config.state_dir},
           {"threads", threads},
           {"max_bytes_in_flight", limits.max_bytes_in_flight},
           {"max_network_bytes", limits.max_network_bytes},
           {"max_queue_delay_s", absl::ToDoubleSeconds(limits.max_queue_delay)},
           {"drain_timeout_s", absl::ToDoubleSeconds(config.drain_timeout)}}});
  for (const std::string& warning : config.warnings) {
    events({Severity::kWarning, "questionable configuration", {{"reason", warning}}});
  }
}

// To whoever started the process, who may wait for it, and to the log.
void TellOfListening(const char* what, const char* message, const std::string& address, const EventSink& events) {
  std::cout << "spikeserve " << what << " " << address << std::endl;
  events({Severity::kInfo, message, {{"address", address}}});
}

// Until a signal comes, and then in an orderly way to the end; returns the exit code.
int ServeUntilSignal(const ServerConfig& config, spikeserve::process::EndSignals& signals, EndAtOnce& end_at_once,
                     Server& server, std::optional<NetworkSaver>& saver, const EventSink& events) {
  const std::string signal = signals.Wait();
  events({Severity::kInfo,
          "draining",
          {{"signal", signal},
           {"drain_delay_s", absl::ToDoubleSeconds(config.drain_delay)},
           {"drain_timeout_s", absl::ToDoubleSeconds(config.drain_timeout)}}});
  server.AnnounceDrain();
  absl::SleepFor(config.drain_delay);
  const int64_t cut_off = server.Drain(config.drain_timeout);
  if (cut_off > 0) {
    events({Severity::kWarning,
            "calls cut off, because they took longer than --drain-timeout",
            {{"calls", cut_off}, {"drain_timeout_s", absl::ToDoubleSeconds(config.drain_timeout)}}});
  }
  if (saver) events({Severity::kInfo, "writing networks", {{"state_dir", config.state_dir}}});
  const bool saved = !saver || saver->SaveLast();
  const int exit_code = !saved ? kExitUnsaved : cut_off > 0 ? kExitCancelled : 0;
  end_at_once.AllIsDone(exit_code);
  if (saved) {
    events({Severity::kInfo, "ended"});
  } else {
    events({Severity::kError, "ended, and not all networks are written", {{"state_dir", config.state_dir}}});
  }
  return exit_code;
}

int Serve(ServerConfig config) {
  KeepFreedMemory(config.server.engine.limits.max_idle_buffer_bytes, config.server.engine.threads);
  spikeserve::process::AllowAllDescriptors();
  // Who reads the log may go; the server stays.
  std::signal(SIGPIPE, SIG_IGN);
  const auto end_at_once = std::make_shared<EndAtOnce>();
  spikeserve::process::EndSignals signals([options = config.telemetry.log, end_at_once] {
    // A log of its own: the other one may be gone by then. It waits until the line is written.
    Log(options).Write(LogLevel::kWarning, end_at_once->loses_networks
                                               ? "a second signal, ending at once; networks are not written"
                                               : "a second signal, ending at once");
    _exit(end_at_once->exit_code);
  });
  Log log(config.telemetry.log);
  const EventSink events = [&log](const Event& event) { log.Write(event); };
  spikeserve::telemetry::CallLog call_log(log, config.telemetry.slow_call);
  config.server.engine.observer = &call_log;
  config.server.events = events;

  // All that may be taken or unusable comes before the first call does.
  const absl::StatusOr<std::unique_ptr<NetworkFiles>> state = OpenState(config.state_dir);
  if (!state.ok()) return Fail(state.status());
  absl::StatusOr<std::unique_ptr<MetricsListener>> metrics = OpenMetrics(config.telemetry.metrics_listen);
  if (!metrics.ok()) return Fail(metrics.status());
  if (*state != nullptr) {
    config.server.before_listening = [&](Engine& engine) {
      return LoadState(**state, config, engine, events, signals);
    };
  }
  const absl::StatusOr<std::unique_ptr<Server>> server = Server::Start(config.server);
  if (absl::IsCancelled(server.status())) {
    // Their files are as they were.
    end_at_once->AllIsDone(0);
    events({Severity::kInfo, "ended before all networks were loaded", {{"signal", signals.Wait()}}});
    return 0;
  }
  if (!server.ok()) return Fail(server.status());
  Engine& engine = (*server)->engine();
  TellOfStart(config, engine.statistics().threads, events);
  std::optional<NetworkSaver> saver;
  if (*state != nullptr) {
    saver.emplace(**state, engine.networks(), config.state_interval, events);
    end_at_once->loses_networks = true;
  }
  // Ends before what it tells of.
  const absl::Cleanup end_metrics = [&] { metrics->reset(); };
  if (*metrics != nullptr) {
    (*metrics)->Serve(
        std::make_shared<spikeserve::telemetry::ServerMetrics>(engine, [&] { return FactsOf(log, **server, saver); }));
  }

  for (const std::string& address : (*server)->addresses()) {
    TellOfListening("listening on", "listening", address, events);
  }
  if (*metrics != nullptr) TellOfListening("metrics on", "metrics", (*metrics)->address(), events);
  return ServeUntilSignal(config, signals, *end_at_once, **server, saver, events);
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
  if (const auto* config = std::get_if<ServerConfig>(&*command_line)) return Serve(*config);
  if (const auto* checked = std::get_if<spikeserve::config::Checked>(&*command_line)) {
    for (const std::string& warning : checked->warnings) {
      std::cerr << "spikeserve: warning: " << OneLine(warning) << "\n";
    }
  }
  return 0;
}

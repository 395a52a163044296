// The server's process: its memory, its signals, its log, its end.

#include <malloc.h>
#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <climits>
#include <csignal>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <string>
#include <string_view>
#include <thread>

#include "config/flags.h"
#include "rpc/server.h"
#include "telemetry/call_log.h"
#include "telemetry/log.h"
#include "telemetry/metrics_listener.h"
#include "telemetry/server_metrics.h"

namespace {

using spikeserve::config::ServerConfig;
using spikeserve::rpc::Server;
using spikeserve::telemetry::LogLevel;
using spikeserve::telemetry::MetricsListener;

constexpr int kExitUsage = 2;
constexpr int kExitCancelled = 3;

// The signals that end the server. They are blocked in every thread, and taken up by the main one with sigwait.
sigset_t EndSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  return signals;
}

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

int Serve(const ServerConfig& config) {
  KeepFreedMemory(config.server.engine.limits.max_idle_buffer_bytes);
  const sigset_t signals = EndSignals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  // Who reads the log may go; the server stays.
  std::signal(SIGPIPE, SIG_IGN);
  spikeserve::telemetry::Log log(config.telemetry.log);
  spikeserve::telemetry::CallLog call_log(log, config.telemetry.slow_call);
  spikeserve::rpc::ServerOptions options = config.server;
  options.engine.observer = &call_log;
  const absl::StatusOr<std::unique_ptr<Server>> server = Server::Start(options);
  if (!server.ok()) return Fail(server.status());
  // Goes before the engine that it tells of.
  std::unique_ptr<MetricsListener> metrics;
  if (const std::string& address = config.telemetry.metrics_listen; !address.empty()) {
    auto started = MetricsListener::Start(address, std::make_shared<spikeserve::telemetry::ServerMetrics>(
                                                       (*server)->engine(), [&log] { return log.dropped(); }));
    if (!started.ok()) return Fail(started.status());
    metrics = *std::move(started);
  }
  for (const std::string& address : (*server)->addresses()) {
    std::cout << "spikeserve listening on " << address << std::endl;
    log.Write(LogLevel::kInfo, "listening", {{"address", std::string_view(address)}});
  }
  if (metrics != nullptr) {
    std::cout << "spikeserve metrics on " << metrics->address() << std::endl;
    log.Write(LogLevel::kInfo, "metrics", {{"address", std::string_view(metrics->address())}});
  }
  int signal = 0;
  sigwait(&signals, &signal);
  log.Write(LogLevel::kInfo, "draining", {{"signal", std::string_view(signal == SIGTERM ? "SIGTERM" : "SIGINT")}});
  if (!(*server)->Drain(config.drain_timeout)) {
    log.Write(LogLevel::kWarning, "calls were cancelled, because they took longer than --drain-timeout");
    return kExitCancelled;
  }
  log.Write(LogLevel::kInfo, "ended");
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  // What goes wrong is told in one line of ours; gRPC's own log is there for whoever asks for it.
  setenv("GRPC_VERBOSITY", "NONE", /*overwrite=*/0);
  const absl::StatusOr<spikeserve::config::CommandLine> command_line = spikeserve::config::ParseCommandLine(argc, argv);
  if (!command_line.ok()) return Fail(command_line.status());
  const auto* config = std::get_if<ServerConfig>(&*command_line);
  return config == nullptr ? 0 : Serve(*config);
}

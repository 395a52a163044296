// The server's command line: reads flags and wires.

#include <malloc.h>
#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <climits>
#include <cstdlib>
#include <iostream>
#include <string>
#include <thread>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/time/time.h"
#include "rpc/server.h"
#include "version.h"

namespace {

using spikeserve::rpc::Server;
using spikeserve::rpc::ServerOptions;

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

int Serve(const ServerOptions& options, absl::Duration drain_timeout) {
  KeepFreedMemory(options.engine.limits.max_idle_buffer_bytes);
  const sigset_t signals = EndSignals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  absl::StatusOr<std::unique_ptr<Server>> server = Server::Start(options);
  if (!server.ok()) {
    std::cerr << "spikeserve: " << server.status().message() << "\n";
    return 2;
  }
  for (const std::string& address : (*server)->addresses()) {
    std::cout << "spikeserve listening on " << address << std::endl;
  }
  int signal = 0;
  sigwait(&signals, &signal);
  std::cerr << "spikeserve: " << (signal == SIGTERM ? "SIGTERM" : "SIGINT") << ", draining" << std::endl;
  if (!(*server)->Drain(drain_timeout)) {
    std::cerr << "spikeserve: calls were cancelled, because they took longer than --drain-timeout" << std::endl;
    return 3;
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  // What goes wrong is told in one line of ours; gRPC's own log is there for whoever asks for it.
  setenv("GRPC_VERBOSITY", "NONE", /*overwrite=*/0);
  CLI::App app("spikeserve " SPIKESERVE_VERSION ": a gRPC service that computes on spike trains");
  app.set_version_flag("--version", "spikeserve " SPIKESERVE_VERSION);
  ServerOptions options;
  spikeserve::server::Limits& limits = options.engine.limits;
  double idle_seconds = absl::ToDoubleSeconds(limits.network_idle_timeout);
  double drain_seconds = 30;
  bool share_memory = false;
  spikeserve::shared_memory::Quota shared_memory;

  app.add_option("--listen", options.listen, "HOST:PORT (port 0: a free one) or unix:PATH; may be repeated")
      ->capture_default_str();
  app.add_option("--threads", options.engine.threads, "Threads that compute; 0: one for each processor")
      ->check(CLI::Range(0, 1024))
      ->capture_default_str();
  const auto add_limit = [&](const std::string& name, int64_t& value, const std::string& what, int64_t max) {
    app.add_option(name, value, what)->check(CLI::Range(int64_t{1}, max))->capture_default_str();
  };
  constexpr int64_t kMany = int64_t{1} << 40;
  // gRPC and Protobuf count the bytes of a message in 31 bits.
  add_limit("--max-message-bytes", limits.max_message_bytes, "Bytes of one request or response", 0x7fffffff);
  add_limit("--max-decoded-bytes", limits.max_decoded_bytes, "Bytes of one tensor after decoding", kMany);
  add_limit("--max-pairs", limits.max_pairs, "Pairs of samples of one SpikeSimilarLoss or similarity loss", kMany);
  add_limit("--max-calls", limits.max_calls, "Calls that wait or compute at the same time", kMany);
  add_limit("--max-idle-buffer-bytes", limits.max_idle_buffer_bytes,
            "Bytes of buffers kept for the next call; each heap keeps as much freed memory", kMany);
  add_limit("--max-networks", limits.max_networks, "Networks held at the same time", kMany);
  add_limit("--max-network-bytes", limits.max_network_bytes, "Bytes of all networks together", kMany);
  add_limit("--max-trace-bytes", limits.max_trace_bytes,
            "Bytes that one network keeps for going back through its steps", kMany);
  app.add_flag("--shared-memory", share_memory,
               "Let clients on each --listen=unix:PATH hand over memory, on the socket PATH.shm");
  add_limit("--max-shared-memory-bytes", shared_memory.max_bytes, "Bytes of memory that one user's clients share",
            kMany);
  app.add_option("--network-idle-timeout", idle_seconds, "Seconds after which a network without calls expires")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--drain-timeout", drain_seconds, "Seconds that accepted calls get to finish after SIGTERM or SIGINT")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const int code = app.exit(error);
    return code == 0 ? 0 : 2;
  }
  limits.network_idle_timeout = absl::Seconds(idle_seconds);
  if (share_memory) options.shared_memory = shared_memory;
  return Serve(options, absl::Seconds(drain_seconds));
}

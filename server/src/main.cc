// The server's process: its memory and its life cycle.

#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <cstdlib>
#include <iostream>
#include <string>
#include <thread>

#include "absl/time/clock.h"
#include "config/flags.h"
#include "process/end_signals.h"
#include "rpc/server.h"

namespace {

using spikeserve::config::ServerConfig;
using spikeserve::rpc::Server;

constexpr int kExitUsage = 2;
constexpr int kExitCancelled = 3;

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
  spikeserve::process::EndSignals signals([] {
    std::cerr << "spikeserve: a second signal, ending at once" << std::endl;
    _exit(kExitCancelled);
  });
  const absl::StatusOr<std::unique_ptr<Server>> server = Server::Start(config.server);
  if (!server.ok()) return Fail(server.status());
  for (const std::string& address : (*server)->addresses()) {
    std::cout << "spikeserve listening on " << address << std::endl;
  }
  std::cerr << "spikeserve: " << signals.Wait() << ", draining" << std::endl;
  (*server)->AnnounceDrain();
  absl::SleepFor(config.drain_delay);
  if (!(*server)->Drain(config.drain_timeout)) {
    std::cerr << "spikeserve: calls were cancelled, because they took longer than --drain-timeout" << std::endl;
    return kExitCancelled;
  }
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

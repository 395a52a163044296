// The server's process: its memory and its life cycle.

#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "config/flags.h"
#include "google/protobuf/stubs/logging.h"
#include "process/end_signals.h"
#include "rpc/server.h"
#include "state/network_files.h"
#include "state/network_saver.h"
#include "state/posix_directory.h"
#include "state/stored_network.h"

namespace {

using spikeserve::config::ServerConfig;
using spikeserve::rpc::Server;
using spikeserve::server::Engine;
using spikeserve::state::Directory;
using spikeserve::state::NetworkFiles;
using spikeserve::state::NetworkSaver;

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

void SayOfState(const std::string& line) { std::cerr << absl::StrCat("spikeserve: --state-dir: ", line, "\n"); }

// The networks' files; null without --state-dir.
absl::StatusOr<std::unique_ptr<NetworkFiles>> OpenState(const std::string& path) {
  if (path.empty()) return nullptr;
  absl::StatusOr<std::unique_ptr<Directory>> directory = spikeserve::state::OpenDirectory(path);
  if (!directory.ok()) return absl::InvalidArgumentError(absl::StrCat("--state-dir: ", directory.status().message()));
  return std::make_unique<NetworkFiles>(*std::move(directory));
}

absl::Status LoadState(NetworkFiles& files, Engine& engine) {
  const absl::StatusOr<int> loaded =
      files.Load([&](const auto& network) { return spikeserve::state::Restore(network, engine); }, SayOfState);
  if (!loaded.ok()) return absl::InvalidArgumentError(absl::StrCat("--state-dir: ", loaded.status().message()));
  if (*loaded > 0) SayOfState(absl::StrCat(*loaded, *loaded == 1 ? " network" : " networks", " loaded"));
  return absl::OkStatus();
}

int Serve(ServerConfig config) {
  KeepFreedMemory(config.server.engine.limits.max_idle_buffer_bytes);
  spikeserve::process::EndSignals signals([] {
    std::cerr << "spikeserve: a second signal, ending at once" << std::endl;
    _exit(kExitCancelled);
  });
  const absl::StatusOr<std::unique_ptr<NetworkFiles>> state = OpenState(config.state_dir);
  if (!state.ok()) return Fail(state.status());
  if (*state != nullptr) {
    config.server.before_listening = [&state](Engine& engine) { return LoadState(**state, engine); };
  }
  const absl::StatusOr<std::unique_ptr<Server>> server = Server::Start(config.server);
  if (!server.ok()) return Fail(server.status());
  std::optional<NetworkSaver> saver;
  if (*state != nullptr) saver.emplace(**state, (*server)->engine().networks(), config.state_interval, SayOfState);
  for (const std::string& address : (*server)->addresses()) {
    std::cout << "spikeserve listening on " << address << std::endl;
  }
  const std::string signal = signals.Wait();
  std::cerr << "spikeserve: " << signal << ", draining" << std::endl;
  (*server)->AnnounceDrain();
  absl::SleepFor(config.drain_delay);
  const bool drained = (*server)->Drain(config.drain_timeout);
  const bool saved = !saver || saver->Save();
  if (!drained) {
    std::cerr << "spikeserve: calls were cancelled, because they took longer than --drain-timeout" << std::endl;
    return kExitCancelled;
  }
  return saved ? 0 : kExitUnsaved;
}

}  // namespace

int main(int argc, char** argv) {
  // What goes wrong is told in one line of ours; gRPC's own log is there for whoever asks for it.
  setenv("GRPC_VERBOSITY", "NONE", /*overwrite=*/0);
  // What is wrong with a request its caller is told, and not whoever runs the server, in as many lines.
  google::protobuf::SetLogHandler(nullptr);
  const absl::StatusOr<spikeserve::config::CommandLine> command_line = spikeserve::config::ParseCommandLine(argc, argv);
  if (!command_line.ok()) return Fail(command_line.status());
  const auto* config = std::get_if<ServerConfig>(&*command_line);
  return config == nullptr ? 0 : Serve(*config);
}

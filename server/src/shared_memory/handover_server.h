// Where clients hand over memory: the server's side of proto/spikeserve/v1/shared_memory.proto.

#ifndef SPIKESERVE_SERVER_SHARED_MEMORY_HANDOVER_SERVER_H_
#define SPIKESERVE_SERVER_SHARED_MEMORY_HANDOVER_SERVER_H_

#include <sys/stat.h>

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"
#include "shared_memory/file_descriptor.h"
#include "shared_memory/region_store.h"

namespace spikeserve::shared_memory {

// How many connections there may be at the same time. Further ones are told so, and closed.
struct ConnectionLimits {
  int total = 256;
  int per_user = 64;
};

// Listens on Unix sockets and keeps what arrives in a RegionStore. A connection has a thread of its own: there are few,
// they wait nearly always, and whatever a client does on its own (say nothing, read nothing, pass a descriptor whose
// close blocks, or gigabytes that are mapped for a second) it does to itself alone.
//
// The destructor stops listening and closes the connections.
class HandoverServer {
 public:
  // Serves from here on, one socket at each of `paths`. UNAVAILABLE where it cannot listen.
  static absl::StatusOr<std::unique_ptr<HandoverServer>> Start(const std::vector<std::string>& paths,
                                                               std::shared_ptr<RegionStore> store,
                                                               const ConnectionLimits& limits = {});
  ~HandoverServer();

  // Takes no further connections, and removes the sockets' files. Those that there are go on.
  void StopListening();

 private:
  class Connections;
  struct Listener {
    std::string path;
    FileDescriptor socket;
    struct stat file;
  };

  explicit HandoverServer(std::shared_ptr<Connections> connections);
  void AcceptUntilStopped();
  void Accept(const Listener& listener);

  const std::shared_ptr<Connections> connections_;
  std::vector<Listener> listeners_;
  FileDescriptor stop_;  // An eventfd: readable when the server is to stop.
  std::thread acceptor_;
};

}  // namespace spikeserve::shared_memory

#endif  // SPIKESERVE_SERVER_SHARED_MEMORY_HANDOVER_SERVER_H_

// Keeps an engine's networks in files while it runs.

#ifndef SPIKESERVE_SERVER_STATE_NETWORK_SAVER_H_
#define SPIKESERVE_SERVER_STATE_NETWORK_SAVER_H_

#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "runtime/network_store.h"
#include "runtime/periodic_thread.h"
#include "spikeserve/v1/stored_network.pb.h"
#include "state/network_files.h"

namespace spikeserve::state {

// Writes the networks that changed, each at the boundary of two calls, and removes the files of those that are gone.
// Each network is encoded in its strand, and written in the thread that saves: a slow disk holds up no call. What
// cannot be written stays in the file as it was before, and is tried again the next time.
//
// Thread-safe.
class NetworkSaver {
 public:
  // Saves every `interval`, in a thread of its own. `files` and `networks` must outlive the saver, and nobody else uses
  // `files`. `events` are of what begins to fail, and that all is well again.
  NetworkSaver(NetworkFiles& files, server::NetworkStore& networks, absl::Duration interval, server::EventSink events);

  // Saves now. Returns whether all that is held is in the files now.
  bool Save();

  // Saves a last time: from here on it does not do so by itself. Called once; returns as Save.
  bool SaveLast();

  struct Statistics {
    // When all that was held then was last in the files; infinite past: never.
    absl::Time last_success = absl::InfinitePast();
    // The turns since then in which something could not be written.
    int64_t failures = 0;
  };
  Statistics statistics() const;

 private:
  void SaveNow(std::set<std::string>& failures);
  // nullopt where the network is as it was at `step`.
  absl::StatusOr<std::optional<v1::StoredNetwork>> Encode(std::shared_ptr<server::HeldNetwork> held,
                                                          std::optional<uint64_t> step);

  NetworkFiles& files_;
  server::NetworkStore& networks_;
  const server::EventSink events_;
  std::mutex save_mutex_;  // Held while networks are saved.
  // What failed the last time; guarded by save_mutex_.
  std::set<std::string> failures_;
  mutable std::mutex statistics_mutex_;
  Statistics statistics_;  // Guarded by statistics_mutex_.
  std::optional<server::PeriodicThread> thread_;
};

}  // namespace spikeserve::state

#endif  // SPIKESERVE_SERVER_STATE_NETWORK_SAVER_H_

// Keeps an engine's networks in files while it runs.

#ifndef SPIKESERVE_SERVER_STATE_NETWORK_SAVER_H_
#define SPIKESERVE_SERVER_STATE_NETWORK_SAVER_H_

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "runtime/event.h"
#include "runtime/network_store.h"
#include "state/network_files.h"

namespace spikeserve::state {

// Writes the networks that changed, each at the boundary of two calls, and removes the files of those that are gone.
// Each network is encoded in its strand, and written in the saver's thread: a slow disk holds up no call. A network
// that computes is asked to encode itself when its calls that came before have ended, and written then, whatever the
// turn: a long call holds up the saving of its own network only. One network at a time is encoded and not yet written,
// so that it takes no more memory. What cannot be written stays in the file as it was before, and is tried again in the
// next turn.
//
// Thread-safe.
class NetworkSaver {
 public:
  // Saves every `interval`, in a thread of its own. `files` and `networks` must outlive the saver, and nobody else uses
  // `files`. `events`, in that thread, are of what begins to fail, and that all is well again.
  NetworkSaver(NetworkFiles& files, server::NetworkStore& networks, absl::Duration interval, server::EventSink events);
  ~NetworkSaver();

  // Saves now, and waits for networks that compute. Returns whether all that was held when it began is in the files;
  // false after the last save.
  bool Save();

  // Saves a last time: from here on nothing is saved. Called once; returns as Save.
  bool SaveLast();

  struct Statistics {
    // All that was held at that time is in the files, as it was then or later; infinite past: there is no such time.
    absl::Time last_success = absl::InfinitePast();
    // The turns in which something could not be written, since all could be.
    int64_t failures = 0;
  };
  Statistics statistics() const;

 private:
  // A network that is to encode itself.
  struct Ask;
  // What came of that.
  struct Answer;
  // What the saver's thread, the strands and the callers of Save tell each other.
  struct Exchange;
  using Lock = std::unique_lock<std::mutex>;
  using Deadline = std::chrono::steady_clock::time_point;

  // In the network's strand; the saver may be gone by then.
  static void Encode(Exchange& exchange, Ask ask, std::optional<uint64_t> step);

  bool AwaitTurn(bool last);

  // The rest in the saver's thread.
  void Run(absl::Duration interval);
  // Asks and writes, with the lock given up meanwhile, until there is nothing to do and `done` says so, or `deadline`
  // has come.
  void Work(Lock& lock, std::optional<Deadline> deadline, absl::FunctionRef<bool()> done);
  // Removes the files of networks that are gone, and has all others asked.
  void BeginTurn();
  void EndTurn();
  void PutTo(Ask ask);
  void Take(Answer answer);
  // What came of the last try to write or remove the network's file.
  void Note(const std::string& network, const absl::Status& status);
  void TellLastSuccess();

  struct Held {
    // The network is in its file as it was then or later; infinite past: there is no such time.
    absl::Time kept = absl::InfinitePast();
    // It was asked, and has not answered.
    bool asked = false;
  };

  NetworkFiles& files_;
  server::NetworkStore& networks_;
  const server::EventSink events_;
  const std::shared_ptr<Exchange> exchange_;
  // Of the saver's thread alone, up to statistics_mutex_: the networks that were held when the last turn began.
  std::map<std::string, Held> held_;
  int64_t asked_ = 0;  // How many of them are asked.
  absl::Time turn_began_ = absl::InfinitePast();
  bool in_turn_ = false;
  // Why the last try failed, of each network whose last try did.
  std::map<std::string, std::string> failing_;
  // Something failed since the turn before ended.
  bool failed_ = false;
  mutable std::mutex statistics_mutex_;
  Statistics statistics_;  // Guarded by statistics_mutex_.
  std::thread thread_;     // The last, as it uses the others.
};

}  // namespace spikeserve::state

#endif  // SPIKESERVE_SERVER_STATE_NETWORK_SAVER_H_

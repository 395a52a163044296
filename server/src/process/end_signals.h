// The signals that end the server.

#ifndef SPIKESERVE_SERVER_PROCESS_END_SIGNALS_H_
#define SPIKESERVE_SERVER_PROCESS_END_SIGNALS_H_

#include <chrono>
#include <functional>
#include <future>
#include <string>

namespace spikeserve::process {

// Takes SIGTERM and SIGINT away from all threads that are started after it is made, and waits for them in one of its
// own until the process ends. SIGHUP, SIGUSR1 and SIGUSR2 are ignored. Make one, first of all.
class EndSignals {
 public:
  // `on_second` is called, in that thread, when a second signal comes, later than a tenth of a second after the
  // first: whoever sends it does not want to wait.
  explicit EndSignals(std::function<void()> on_second);

  // Waits for the first signal, and returns its name. Called once.
  std::string Wait() { return first_.get(); }

  // Whether there was one. Before Wait.
  bool HaveCome() const { return first_.wait_for(std::chrono::seconds(0)) == std::future_status::ready; }

 private:
  std::future<std::string> first_;
};

}  // namespace spikeserve::process

#endif  // SPIKESERVE_SERVER_PROCESS_END_SIGNALS_H_

#include "process/end_signals.h"

#include <pthread.h>
#include <signal.h>

#include <thread>
#include <utility>

namespace spikeserve::process {

EndSignals::EndSignals(std::function<void()> on_second) {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::promise<std::string> first;
  first_ = first.get_future();
  std::thread([signals, first = std::move(first), on_second = std::move(on_second)]() mutable {
    int signal = 0;
    sigwait(&signals, &signal);
    first.set_value(signal == SIGTERM ? "SIGTERM" : "SIGINT");
    sigwait(&signals, &signal);
    on_second();
  }).detach();
}

}  // namespace spikeserve::process

#include "process/end_signals.h"

#include <pthread.h>
#include <signal.h>

#include <chrono>
#include <csignal>
#include <thread>
#include <utility>

namespace spikeserve::process {

namespace {

// Whoever passes on a signal may do so to the process and to its group, at once.
constexpr auto kSameIntent = std::chrono::milliseconds(100);

}  // namespace

EndSignals::EndSignals(std::function<void()> on_second) {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  // These end a process by default, without its networks being kept. Of files that change the server knows by itself.
  for (const int ignored : {SIGHUP, SIGUSR1, SIGUSR2}) std::signal(ignored, SIG_IGN);
  std::promise<std::string> first;
  first_ = first.get_future();
  std::thread([signals, first = std::move(first), on_second = std::move(on_second)]() mutable {
    int signal = 0;
    sigwait(&signals, &signal);
    first.set_value(signal == SIGTERM ? "SIGTERM" : "SIGINT");
    const auto first_came = std::chrono::steady_clock::now();
    do {
      sigwait(&signals, &signal);
    } while (std::chrono::steady_clock::now() - first_came < kSameIntent);
    on_second();
  }).detach();
}

}  // namespace spikeserve::process

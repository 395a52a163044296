#include "state/network_saver.h"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <set>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/clock.h"
#include "runtime/guarded.h"
#include "runtime/strand.h"
#include "spikeserve/v1/stored_network.pb.h"
#include "state/stored_network.h"

namespace spikeserve::state {

using server::HeldNetwork;
using server::Severity;

struct NetworkSaver::Ask {
  std::string network;
  // Not kept alive by this: what is deleted meanwhile goes.
  std::weak_ptr<HeldNetwork> held;
};

struct NetworkSaver::Answer {
  std::string network;
  absl::Time time;
  // nullopt where the network is as its file says, or gone.
  absl::StatusOr<std::optional<v1::StoredNetwork>> stored;

  bool HasNetwork() const { return stored.ok() && stored->has_value(); }
};

struct NetworkSaver::Exchange {
  std::mutex mutex;
  // Notified of each change of what is below, all of which `mutex` guards.
  std::condition_variable changed;
  std::deque<Ask> asks;
  std::deque<Answer> answers;
  // A network is being encoded, or is encoded and not yet written.
  bool place_taken = false;
  // The calls of Save that were made, and those that returned or may; what they return.
  uint64_t saves = 0;
  uint64_t saves_ended = 0;
  bool saved = false;
  // When the last of these has ended, so does the thread.
  bool last = false;
  // The thread ends at once.
  bool stopping = false;
  // It has ended.
  bool ended = false;
};

NetworkSaver::NetworkSaver(NetworkFiles& files, server::NetworkStore& networks, absl::Duration interval,
                           server::EventSink events)
    : files_(files),
      networks_(networks),
      events_(std::move(events)),
      exchange_(std::make_shared<Exchange>()),
      thread_([this, interval] {
        Run(interval);
        const std::lock_guard lock(exchange_->mutex);
        exchange_->ended = true;
        exchange_->changed.notify_all();
      }) {}

NetworkSaver::~NetworkSaver() {
  {
    const std::lock_guard lock(exchange_->mutex);
    exchange_->stopping = true;
  }
  exchange_->changed.notify_all();
  if (thread_.joinable()) thread_.join();
}

bool NetworkSaver::Save() { return AwaitTurn(/*last=*/false); }

bool NetworkSaver::SaveLast() {
  const bool saved = AwaitTurn(/*last=*/true);
  thread_.join();
  return saved;
}

bool NetworkSaver::AwaitTurn(bool last) {
  Exchange& exchange = *exchange_;
  Lock lock(exchange.mutex);
  exchange.last |= last;
  const uint64_t number = ++exchange.saves;
  exchange.changed.notify_all();
  exchange.changed.wait(lock, [&] { return exchange.saves_ended >= number || exchange.ended; });
  return exchange.saves_ended >= number && exchange.saved;
}

NetworkSaver::Statistics NetworkSaver::statistics() const {
  const std::lock_guard lock(statistics_mutex_);
  return statistics_;
}

void NetworkSaver::Run(absl::Duration interval) {
  Exchange& exchange = *exchange_;
  Lock lock(exchange.mutex);
  while (true) {
    // Networks that computed in the turn are written meanwhile.
    Work(lock, std::chrono::steady_clock::now() + absl::ToChronoNanoseconds(interval),
         [&] { return exchange.saves > exchange.saves_ended; });
    if (exchange.stopping) return;
    const uint64_t saves = exchange.saves;
    const bool awaited = saves > exchange.saves_ended, last = exchange.last;
    lock.unlock();
    BeginTurn();
    lock.lock();
    Work(lock, std::nullopt, [&] {
      const bool all_answered = asked_ == 0;
      const bool all_asked = exchange.asks.empty() && !exchange.place_taken;
      return awaited ? all_answered : all_asked;
    });
    if (exchange.stopping) return;
    EndTurn();
    if (!awaited) continue;
    exchange.saved = failing_.empty();
    exchange.saves_ended = saves;
    exchange.changed.notify_all();
    if (last) return;
  }
}

void NetworkSaver::Work(Lock& lock, std::optional<Deadline> deadline, absl::FunctionRef<bool()> done) {
  Exchange& exchange = *exchange_;
  while (!exchange.stopping) {
    if (!exchange.answers.empty()) {
      Answer answer = std::move(exchange.answers.front());
      exchange.answers.pop_front();
      const bool has_network = answer.HasNetwork();
      lock.unlock();
      Take(std::move(answer));
      lock.lock();
      if (has_network) exchange.place_taken = false;
    } else if (!exchange.asks.empty() && !exchange.place_taken) {
      Ask ask = std::move(exchange.asks.front());
      exchange.asks.pop_front();
      lock.unlock();
      PutTo(std::move(ask));
      lock.lock();
    } else if (done()) {
      return;
    } else if (!deadline) {
      exchange.changed.wait(lock);
    } else if (exchange.changed.wait_until(lock, *deadline) == std::cv_status::timeout && exchange.answers.empty()) {
      // (An answer that came before the next turn must not be taken for one of that turn.)
      return;
    }
  }
}

void NetworkSaver::BeginTurn() {
  const absl::Time now = absl::Now();
  std::map<std::string, Held> held;
  std::vector<Ask> asks;
  for (const std::shared_ptr<HeldNetwork>& network : networks_.All()) {
    const auto known = held_.find(network->name);
    // When the turn before began there was no such network, so that all of it was in the files.
    Held state = known != held_.end() ? known->second : Held{.kept = turn_began_};
    if (!state.asked) asks.push_back({network->name, network});
    state.asked = true;
    held.emplace(network->name, state);
  }
  held_ = std::move(held);
  asked_ = static_cast<int64_t>(held_.size());
  turn_began_ = now;
  in_turn_ = true;
  // First, to make room. What failed may have left a file that is not known of.
  const std::vector<std::string> files = files_.Networks();
  std::set<std::string> networks(files.begin(), files.end());
  for (const auto& [network, reason] : failing_) networks.insert(network);
  for (const std::string& network : networks) {
    if (held_.count(network) == 0) Note(network, files_.Remove(network));
  }
  const std::lock_guard lock(exchange_->mutex);
  for (Ask& ask : asks) exchange_->asks.push_back(std::move(ask));
}

void NetworkSaver::EndTurn() {
  in_turn_ = false;
  TellLastSuccess();
  const bool failed = std::exchange(failed_, false);
  const std::lock_guard lock(statistics_mutex_);
  if (failing_.empty()) {
    statistics_.failures = 0;
  } else if (failed) {
    ++statistics_.failures;
  }
}

void NetworkSaver::PutTo(Ask ask) {
  const std::shared_ptr<HeldNetwork> held = ask.held.lock();
  if (held == nullptr) return Take({.network = std::move(ask.network), .time = absl::Now(), .stored = std::nullopt});
  // Asked, it is not written by anybody, so that this holds until it answers.
  const std::optional<uint64_t> step = files_.StepOf(held->name);
  // In this thread where it does not compute: the pool's may all be taken by long calls.
  held->strand->RunOrPost(
      [exchange = exchange_, ask = std::move(ask), step]() mutable { Encode(*exchange, std::move(ask), step); });
}

void NetworkSaver::Encode(Exchange& exchange, Ask ask, std::optional<uint64_t> step) {
  std::shared_ptr<HeldNetwork> held = ask.held.lock();
  // Every change has a number, so that these tell whether there was one.
  const bool changed = held != nullptr && held->next_step != step;
  Answer answer{.network = ask.network, .time = absl::Now(), .stored = std::nullopt};
  if (changed) {
    const std::lock_guard lock(exchange.mutex);
    if (exchange.stopping) return;
    if (exchange.place_taken) {
      // Calls do not wait for the disk; it is asked again when there is a place.
      exchange.asks.push_back(std::move(ask));
      exchange.changed.notify_all();
      return;
    }
    exchange.place_taken = true;
  }
  if (changed) {
    answer.stored = server::Guarded([&]() -> absl::StatusOr<std::optional<v1::StoredNetwork>> {
      return std::optional<v1::StoredNetwork>(Store(*held));
    });
  }
  // The reference goes before the answer is there.
  held.reset();
  const std::lock_guard lock(exchange.mutex);
  if (changed && !answer.HasNetwork()) exchange.place_taken = false;
  exchange.answers.push_back(std::move(answer));
  exchange.changed.notify_all();
}

void NetworkSaver::Take(Answer answer) {
  const auto held = held_.find(answer.network);
  // A network that was gone when the turn began has no file any more.
  if (held == held_.end()) return;
  held->second.asked = false;
  --asked_;
  absl::Status status = answer.stored.status();
  if (answer.HasNetwork()) status = server::Guarded([&] { return files_.Write(**answer.stored); });
  Note(answer.network, status);
  if (status.ok()) held->second.kept = answer.time;
  if (!in_turn_) TellLastSuccess();
}

void NetworkSaver::Note(const std::string& network, const absl::Status& status) {
  if (status.ok()) {
    if (failing_.erase(network) > 0 && failing_.empty()) events_({Severity::kInfo, "all networks are written again"});
    return;
  }
  failed_ = true;
  std::string reason(status.message());
  const bool told =
      std::any_of(failing_.begin(), failing_.end(), [&](const auto& failure) { return failure.second == reason; });
  if (!told) {
    events_(
        {Severity::kError, "not all networks are written; tried again at each --state-interval", {{"reason", reason}}});
  }
  failing_[network] = std::move(reason);
}

void NetworkSaver::TellLastSuccess() {
  absl::Time time = turn_began_;
  for (const auto& [network, held] : held_) time = std::min(time, held.kept);
  const std::lock_guard lock(statistics_mutex_);
  statistics_.last_success = time;
}

}  // namespace spikeserve::state

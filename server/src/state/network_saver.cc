#include "state/network_saver.h"

#include <algorithm>
#include <future>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "runtime/guarded.h"
#include "state/stored_network.h"

namespace spikeserve::state {

using server::HeldNetwork;
using server::Severity;

NetworkSaver::NetworkSaver(NetworkFiles& files, server::NetworkStore& networks, absl::Duration interval,
                           server::EventSink events)
    : files_(files), networks_(networks), events_(std::move(events)) {
  thread_.emplace(interval, [this] { Save(); });
}

bool NetworkSaver::Save() {
  const std::lock_guard lock(save_mutex_);
  std::set<std::string> failures;
  SaveNow(failures);
  for (const std::string& failure : failures) {
    if (failures_.count(failure) == 0) {
      events_({Severity::kError,
               "not all networks are written; tried again at each --state-interval",
               {{"reason", failure}}});
    }
  }
  if (failures.empty() && !failures_.empty()) events_({Severity::kInfo, "all networks are written again"});
  failures_ = std::move(failures);
  const std::lock_guard statistics_lock(statistics_mutex_);
  if (failures_.empty()) {
    statistics_ = {.last_success = absl::Now()};
  } else {
    ++statistics_.failures;
  }
  return failures_.empty();
}

bool NetworkSaver::SaveLast() {
  thread_.reset();
  return Save();
}

NetworkSaver::Statistics NetworkSaver::statistics() const {
  const std::lock_guard lock(statistics_mutex_);
  return statistics_;
}

void NetworkSaver::SaveNow(std::set<std::string>& failures) {
  const auto note = [&](const absl::Status& status) {
    if (!status.ok()) failures.insert(std::string(status.message()));
  };
  // Not kept alive by this: what is deleted meanwhile goes.
  std::vector<std::weak_ptr<HeldNetwork>> idle, busy;
  absl::flat_hash_set<std::string> names;
  for (const std::shared_ptr<HeldNetwork>& held : networks_.All()) {
    names.insert(held->name);
    (held->strand->busy() ? busy : idle).push_back(held);
  }
  // First, to make room.
  for (const std::string& name : files_.Networks()) {
    if (!names.contains(name)) note(files_.Remove(name));
  }
  // A long call holds up the saving of its own network only.
  idle.insert(idle.end(), busy.begin(), busy.end());
  for (const std::weak_ptr<HeldNetwork>& network : idle) {
    std::shared_ptr<HeldNetwork> held = network.lock();
    if (held == nullptr) continue;
    const std::optional<uint64_t> step = files_.StepOf(held->name);
    const auto stored = Encode(std::move(held), step);
    note(stored.ok() ? server::Guarded([&] { return *stored ? files_.Write(**stored) : absl::OkStatus(); })
                     : stored.status());
  }
}

absl::StatusOr<std::optional<v1::StoredNetwork>> NetworkSaver::Encode(std::shared_ptr<HeldNetwork> held,
                                                                      std::optional<uint64_t> step) {
  using Result = absl::StatusOr<std::optional<v1::StoredNetwork>>;
  const auto promise = std::make_shared<std::promise<Result>>();
  std::future<Result> future = promise->get_future();
  const std::shared_ptr<server::Strand> strand = held->strand;
  // The reference goes before the result is there.
  strand->Post([promise, held = std::move(held), step]() mutable {
    Result result = server::Guarded([&]() -> Result {
      // Every change has a number, so that these tell whether there was one.
      if (step == held->next_step) return std::optional<v1::StoredNetwork>();
      return std::optional<v1::StoredNetwork>(Store(*held));
    });
    held.reset();
    promise->set_value(std::move(result));
  });
  return future.get();
}

}  // namespace spikeserve::state

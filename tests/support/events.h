// Events as lines that a test can look into.

#ifndef SPIKESERVE_TESTS_SUPPORT_EVENTS_H_
#define SPIKESERVE_TESTS_SUPPORT_EVENTS_H_

#include <condition_variable>
#include <mutex>
#include <string>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "runtime/event.h"

namespace spikeserve::testing {

// "MESSAGE KEY=VALUE ...".
inline std::string Text(const server::Event& event) {
  std::string text(event.message);
  for (const server::Event::Field& field : event.fields) {
    std::visit([&](const auto& value) { absl::StrAppend(&text, " ", std::string(field.key), "=", value); },
               field.value);
  }
  return text;
}

// Collects events. Thread-safe.
class Events {
 public:
  server::EventSink sink() {
    return [this](const server::Event& event) {
      const std::lock_guard lock(mutex_);
      texts_.push_back(Text(event));
      came_.notify_all();
    };
  }
  std::vector<std::string> texts() const {
    const std::lock_guard lock(mutex_);
    return texts_;
  }
  // Waits for the n-th one, counted from 0.
  std::string operator[](size_t n) {
    std::unique_lock lock(mutex_);
    came_.wait(lock, [&] { return texts_.size() > n; });
    return texts_[n];
  }

 private:
  mutable std::mutex mutex_;
  std::condition_variable came_;
  std::vector<std::string> texts_;
};

}  // namespace spikeserve::testing

#endif  // SPIKESERVE_TESTS_SUPPORT_EVENTS_H_

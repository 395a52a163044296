// What whoever runs the server should hear of: the parts of it that have something to say know not where it goes.

#ifndef SPIKESERVE_SERVER_RUNTIME_EVENT_H_
#define SPIKESERVE_SERVER_RUNTIME_EVENT_H_

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace spikeserve::server {

enum class Severity {
  kInfo,
  kWarning,  // Somebody is not served as they should be, or will not be soon.
  kError,    // Something is lost, or will be unless somebody acts.
};

struct Event {
  struct Field {
    std::string_view key;
    std::variant<std::string, int64_t, double> value;
  };

  Severity severity;
  // One of few, so that it can be searched for and counted; what differs from time to time is in the fields.
  std::string_view message;
  std::vector<Field> fields = {};
};

// Takes an event. Called from any thread, and does not block.
using EventSink = std::function<void(const Event&)>;

}  // namespace spikeserve::server

#endif  // SPIKESERVE_SERVER_RUNTIME_EVENT_H_

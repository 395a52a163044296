// Calls on an engine without a transport.

#ifndef SPIKESERVE_TESTS_SUPPORT_CALLS_H_
#define SPIKESERVE_TESTS_SUPPORT_CALLS_H_

#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "runtime/engine.h"

namespace spikeserve::testing {

// Lets `done` have the call's result when the call is finished.
inline void OnFinish(server::Call& call, std::function<void(server::EnvelopeOr)> done) {
  auto kept = std::make_shared<std::optional<server::EnvelopeOr>>();
  call.respond = [kept](server::EnvelopeOr result) {
    absl::Status status = result.status();
    *kept = std::move(result);
    return status;
  };
  call.finish = [kept, done = std::move(done)](const absl::Status&) { done(*std::move(*kept)); };
}

}  // namespace spikeserve::testing

#endif  // SPIKESERVE_TESTS_SUPPORT_CALLS_H_

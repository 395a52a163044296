#include "soak/soak.h"

#include <iostream>

namespace spikeserve::soak {

void Soak::Count(const std::string& kind, bool right, absl::FunctionRef<std::string()> why) {
  const std::lock_guard lock(mutex_);
  ++calls_[kind];
  if (right) return;
  if (++wrong_ <= 20) std::cerr << "soak: WRONG: " << kind << ": " << why() << std::endl;
}

std::map<std::string, int64_t> Soak::calls() {
  const std::lock_guard lock(mutex_);
  return calls_;
}

int64_t Soak::wrong() {
  const std::lock_guard lock(mutex_);
  return wrong_;
}

}  // namespace spikeserve::soak

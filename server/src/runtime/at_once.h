// What is computed at once, in the thread that received it: to wake another thread would take longer.

#ifndef SPIKESERVE_SERVER_RUNTIME_AT_ONCE_H_
#define SPIKESERVE_SERVER_RUNTIME_AT_ONCE_H_

#include <cstddef>
#include <cstdint>

namespace spikeserve::server {

// Requests of no more bytes, which take no more operations on elements (tens of microseconds).
inline constexpr size_t kSmallRequest = 16 << 10;
inline constexpr int64_t kSmallWork = 1 << 16;

// Requests of no more bytes do not become much when they are parsed: to ask how much would take longer than it is
// worth. (Of an empty message inside of another, two bytes become a hundred.)
inline constexpr size_t kTinyRequest = 1 << 10;

}  // namespace spikeserve::server

#endif  // SPIKESERVE_SERVER_RUNTIME_AT_ONCE_H_

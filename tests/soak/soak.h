// What all threads of the soak share: the server that they call, and what became of their calls.

#ifndef SPIKESERVE_TESTS_SOAK_SOAK_H_
#define SPIKESERVE_TESTS_SOAK_SOAK_H_

#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "spikeserve/client/client.h"

namespace spikeserve::soak {

// Where the server is, and how it lets callers in.
struct Ways {
  // "127.0.0.1:PORT", with TLS.
  std::string tls;
  // "unix:PATH", without.
  std::string plain;
  // "127.0.0.1:PORT", over HTTP.
  std::string metrics;
  // Of the authority of its certificates, in PEM.
  std::string ca;
  // Goes with each call; in force from the beginning to the end.
  std::string token;
};

// Thread-safe.
class Soak {
 public:
  explicit Soak(Ways ways) : ways_(std::move(ways)) {}

  const Ways& ways() const { return ways_; }
  bool ended() const { return ended_; }
  void End() { ended_ = true; }

  // What a caller over TLS needs.
  ConnectOptions Encrypted() const { return {.tls = TlsOptions{.ca_pem = ways_.ca}, .token = ways_.token}; }
  // Over TLS and over the socket by turns.
  Client NewClient(ConnectOptions options = {}) {
    options.token = ways_.token;
    const bool plain = turn_++ % 2 != 0;
    if (!plain) options.tls = Encrypted().tls;
    return *Client::Connect(plain ? ways_.plain : ways_.tls, options);
  }

  // Counts a call of a kind; `right`: whether it was answered as it must be.
  void Count(const std::string& kind, bool right, absl::FunctionRef<std::string()> why);
  void Expect(const std::string& kind, const absl::Status& status) {
    Count(kind, status.ok(), [&] { return status.ToString(); });
  }

  std::map<std::string, int64_t> calls();
  int64_t wrong();

 private:
  const Ways ways_;
  std::atomic<bool> ended_ = false;
  std::atomic<int> turn_ = 0;
  std::mutex mutex_;
  std::map<std::string, int64_t> calls_;
  int64_t wrong_ = 0;
};

}  // namespace spikeserve::soak

#endif  // SPIKESERVE_TESTS_SOAK_SOAK_H_

// The tokens that callers prove who they are with.

#ifndef SPIKESERVE_SERVER_IDENTITY_TOKENS_H_
#define SPIKESERVE_SERVER_IDENTITY_TOKENS_H_

#include <array>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "identity/file_watch.h"

namespace spikeserve::identity {

using Sha256Digest = std::array<uint8_t, 32>;
Sha256Digest Sha256(std::string_view bytes);

// Whether `name` may stand before a token: letters, digits, '.', '_' and '-', 1 to 64 of them.
bool IsTokenName(std::string_view name);

// Whether `token` may be one: what RFC 6750 calls b64token, 1 to 1024 characters.
bool IsToken(std::string_view token);

// The line of a tokens file that gives `name` the token.
std::string TokenLine(std::string_view name, std::string_view token);

// A set of tokens, of which it knows only the SHA-256. Immutable.
class TokenSet {
 public:
  // `text` has a NAME:SHA256HEX on each line; blank lines and those that begin with # are passed over. A name may have
  // several tokens, so that one can be replaced without haste. INVALID_ARGUMENT for another line, whose number is told
  // and which is not repeated, and for a text without tokens.
  static absl::StatusOr<TokenSet> Parse(std::string_view text);

  // The name whose token it is. How long it takes does not depend on how much of a token is right, nor on whose it is.
  std::optional<std::string> NameOf(std::string_view token) const;

  size_t size() const { return entries_.size(); }
  // The names that there are tokens of, each once.
  std::vector<std::string> Names() const;

 private:
  struct Entry {
    std::string name;
    Sha256Digest digest;
  };
  std::vector<Entry> entries_;
};

// The tokens of a file, which may be replaced at any time. Thread-safe.
class TokenFile {
 public:
  // Errors name the flag --tokens, the file and the line. INVALID_ARGUMENT.
  static absl::Status Check(const std::string& path);

  // The file is looked at again each `period`; what cannot be taken then is an event, and the last good tokens stay.
  static absl::StatusOr<std::unique_ptr<TokenFile>> Open(const std::string& path, server::EventSink events,
                                                         absl::Duration period = kWatchPeriod);

  std::optional<std::string> NameOf(std::string_view token) const;
  // The names that there are tokens of now, each once.
  std::vector<std::string> Names() const;

 private:
  explicit TokenFile(TokenSet tokens);
  std::shared_ptr<const TokenSet> Now() const;

  mutable std::mutex mutex_;
  std::shared_ptr<const TokenSet> tokens_;  // Guarded by mutex_.
  std::unique_ptr<FileWatch> watch_;
};

}  // namespace spikeserve::identity

#endif  // SPIKESERVE_SERVER_IDENTITY_TOKENS_H_

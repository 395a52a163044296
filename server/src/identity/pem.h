// Checks certificates and keys in PEM before anybody relies on them: gRPC takes whatever it is given, and says nothing
// until no connection comes about.

#ifndef SPIKESERVE_SERVER_IDENTITY_PEM_H_
#define SPIKESERVE_SERVER_IDENTITY_PEM_H_

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace spikeserve::identity {

// PEM, and how errors name it.
struct Pem {
  std::string_view text;
  // The flag or option that it is from.
  std::string field;
  // The file that it is from; empty: none.
  std::string file;
};

// A private key and its certificate as one PEM text, with nothing else in it: `key`, which has no passphrase, and
// `chain`, the certificate, which is valid at `now`, with those that lead to who vouches for it behind it.
// INVALID_ARGUMENT where they are not that.
absl::StatusOr<std::string> ReadKeyPair(const Pem& chain, const Pem& key, absl::Time now);

// When the first certificate of `chain` expires.
absl::StatusOr<absl::Time> ExpiryOf(const Pem& chain);

// INVALID_ARGUMENT unless `authorities` are certificates, at least one of which is valid at `now`.
absl::Status CheckAuthorities(const Pem& authorities, absl::Time now);

}  // namespace spikeserve::identity

#endif  // SPIKESERVE_SERVER_IDENTITY_PEM_H_

// Certificates for tests, made when they are needed: there are no keys in the repository.

#ifndef SPIKESERVE_TESTS_SUPPORT_CERTIFICATES_H_
#define SPIKESERVE_TESTS_SUPPORT_CERTIFICATES_H_

#include <memory>
#include <string>

#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace spikeserve::testing {

// PEM.
struct KeyPair {
  std::string certificate;
  std::string key;
};

// What is asked of an authority.
struct CertificateRequest {
  // Empty: none.
  std::string common_name = "localhost";
  // As OpenSSL has them, such as "DNS:localhost,IP:127.0.0.1"; empty: none.
  std::string alternative_names = "DNS:localhost,IP:127.0.0.1";
  absl::Time begin = absl::Now() - absl::Hours(1);
  absl::Time end = absl::Now() + absl::Hours(24);
};

// Issues certificates on keys of their own. Thread-safe.
class CertificateAuthority {
 public:
  CertificateAuthority();
  ~CertificateAuthority();

  // Its own certificate, in PEM.
  const std::string& certificate() const { return certificate_; }

  KeyPair Issue(const CertificateRequest& request = {}) const;

 private:
  struct Signer;
  std::unique_ptr<Signer> signer_;
  std::string certificate_;
};

// `key` (PEM) with a passphrase.
std::string Encrypted(const std::string& key);

// Writes a file of the process's own, which goes when it ends; the same name is replaced at once. Returns its path.
std::string WriteTestFile(const std::string& name, const std::string& bytes);

}  // namespace spikeserve::testing

#endif  // SPIKESERVE_TESTS_SUPPORT_CERTIFICATES_H_

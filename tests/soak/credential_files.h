// The server's certificate and its tokens, in files that are replaced while it runs.

#ifndef SPIKESERVE_TESTS_SOAK_CREDENTIAL_FILES_H_
#define SPIKESERVE_TESTS_SOAK_CREDENTIAL_FILES_H_

#include <string>
#include <vector>

#include "support/certificates.h"

namespace spikeserve::soak {

class CredentialFiles {
 public:
  // `folder` exists.
  explicit CredentialFiles(std::string folder);

  // The flags that tell the server of them.
  std::vector<std::string> flags() const;
  // Of who vouches for the server, in PEM.
  const std::string& ca() const { return authority_.certificate(); }
  // A token that stays in force.
  const std::string& token() const { return token_; }

  // A certificate for 127.0.0.1 and `name`, on a key of its own.
  void ReplaceCertificate(const std::string& name);
  // `guest` is a token beside token(), the only one.
  void ReplaceGuest(const std::string& guest);

 private:
  void Write(const std::string& name, const std::string& bytes) const;

  const std::string folder_;
  const std::string token_ = "soak-token";
  const testing::CertificateAuthority authority_;
};

}  // namespace spikeserve::soak

#endif  // SPIKESERVE_TESTS_SOAK_CREDENTIAL_FILES_H_

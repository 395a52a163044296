#include "soak/credential_files.h"

#include <filesystem>
#include <fstream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "identity/tokens.h"

namespace spikeserve::soak {

CredentialFiles::CredentialFiles(std::string folder) : folder_(std::move(folder)) {
  ReplaceCertificate("first.test");
  ReplaceGuest("first-guest");
}

std::vector<std::string> CredentialFiles::flags() const {
  return {absl::StrCat("--tls-cert=", folder_, "/tls.pem"), absl::StrCat("--tls-key=", folder_, "/tls.key"),
          absl::StrCat("--tokens=", folder_, "/tokens")};
}

// Key and certificate are two files, so that for a moment they do not belong together: a server that looks just then
// keeps what it had.
void CredentialFiles::ReplaceCertificate(const std::string& name) {
  const testing::KeyPair pair = authority_.Issue(
      {.alternative_names = absl::StrCat("DNS:", name, ",IP:127.0.0.1"), .end = absl::Now() + absl::Hours(24)});
  Write("tls.key", pair.key);
  Write("tls.pem", pair.certificate);
}

void CredentialFiles::ReplaceGuest(const std::string& guest) {
  Write("tokens", absl::StrCat(identity::TokenLine("soak", token_), "\n", identity::TokenLine("guest", guest), "\n"));
}

void CredentialFiles::Write(const std::string& name, const std::string& bytes) const {
  const std::string path = absl::StrCat(folder_, "/", name);
  std::ofstream(path + ".new", std::ios::binary) << bytes;
  std::filesystem::rename(path + ".new", path);
}

}  // namespace spikeserve::soak

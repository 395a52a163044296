#include "identity/pem.h"

#include <openssl/err.h>
#include <openssl/pem.h>

#include <ctime>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "identity/openssl_handles.h"
#include "spikeserve/compute/field_error.h"
#include "status_macros.h"

namespace spikeserve::identity {
namespace {

Bio Reader(std::string_view text) { return Bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size()))); }

absl::Status Bad(const Pem& pem, std::string_view what, std::string_view needed) {
  const std::string where = pem.file.empty() ? "the PEM" : absl::StrCat("the file ", pem.file);
  return InvalidField(pem.field, absl::StrCat(where, " ", std::string(what)), needed);
}

// All certificates; an error where there is none, or one does not parse.
absl::StatusOr<std::vector<Certificate>> ReadCertificates(const Pem& pem) {
  constexpr std::string_view kNeeded = "one or more certificates in PEM (BEGIN CERTIFICATE)";
  const Bio reader = Reader(pem.text);
  std::vector<Certificate> certificates;
  ERR_clear_error();
  while (X509* next = PEM_read_bio_X509(reader.get(), nullptr, nullptr, nullptr)) certificates.emplace_back(next);
  const bool at_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
  ERR_clear_error();
  if (!at_end) return Bad(pem, "has a certificate that does not parse", kNeeded);
  if (certificates.empty()) return Bad(pem, "has no certificate", kNeeded);
  return certificates;
}

// OpenSSL would ask for a passphrase on the terminal.
int NoPassphrase(char*, int, int, void* asked) {
  *static_cast<bool*>(asked) = true;
  return -1;
}

absl::StatusOr<Key> ReadKey(const Pem& pem) {
  constexpr std::string_view kNeeded = "a private key in PEM without a passphrase";
  bool asked = false;
  Key key(PEM_read_bio_PrivateKey(Reader(pem.text).get(), nullptr, NoPassphrase, &asked));
  ERR_clear_error();
  if (asked) return Bad(pem, "has a private key with a passphrase", kNeeded);
  if (key == nullptr) return Bad(pem, "has no private key that parses", kNeeded);
  return key;
}

absl::Time ToTime(const ASN1_TIME* time) {
  std::tm parts = {};
  ASN1_TIME_to_tm(time, &parts);
  return absl::FromTM(parts, absl::UTCTimeZone());
}

// Whether it is valid at `now`; else why not.
std::string WhyNotValid(const X509& certificate, absl::Time now) {
  const auto compare = [now](const ASN1_TIME* time) { return ASN1_TIME_cmp_time_t(time, absl::ToTimeT(now)); };
  const auto date = [](const ASN1_TIME* time) {
    return absl::FormatTime("%Y-%m-%d %H:%M:%S UTC", ToTime(time), absl::UTCTimeZone());
  };
  const ASN1_TIME* const begin = X509_get0_notBefore(&certificate);
  const ASN1_TIME* const end = X509_get0_notAfter(&certificate);
  if (compare(begin) > 0) return absl::StrCat("has a certificate that is not valid before ", date(begin));
  if (compare(end) < 0) return absl::StrCat("has a certificate that expired on ", date(end));
  return "";
}

absl::StatusOr<std::string> Write(const EVP_PKEY& key, const std::vector<Certificate>& certificates) {
  const Bio writer(BIO_new(BIO_s_mem()));
  bool ok = PEM_write_bio_PrivateKey(writer.get(), &key, nullptr, nullptr, 0, nullptr, nullptr) == 1;
  for (const Certificate& certificate : certificates) ok &= PEM_write_bio_X509(writer.get(), certificate.get()) == 1;
  ERR_clear_error();
  if (!ok) return absl::InternalError("OpenSSL does not write what it has read");
  return TextOf(writer);
}

}  // namespace

absl::StatusOr<std::string> ReadKeyPair(const Pem& chain, const Pem& key, absl::Time now) {
  SPIKESERVE_ASSIGN_OR_RETURN(const std::vector<Certificate> certificates, ReadCertificates(chain));
  X509& certificate = *certificates[0];
  if (const std::string why = WhyNotValid(certificate, now); !why.empty()) {
    return Bad(chain, why, "a certificate that is valid now");
  }
  SPIKESERVE_ASSIGN_OR_RETURN(const Key private_key, ReadKey(key));
  const bool match = X509_check_private_key(&certificate, private_key.get()) == 1;
  ERR_clear_error();
  if (!match) {
    return Bad(
        key, "has another private key",
        absl::StrCat("that of the first certificate of ", chain.field, chain.file.empty() ? "" : " ", chain.file));
  }
  return Write(*private_key, certificates);
}

absl::StatusOr<absl::Time> ExpiryOf(const Pem& chain) {
  SPIKESERVE_ASSIGN_OR_RETURN(const std::vector<Certificate> certificates, ReadCertificates(chain));
  return ToTime(X509_get0_notAfter(certificates[0].get()));
}

absl::Status CheckAuthorities(const Pem& authorities, absl::Time now) {
  SPIKESERVE_ASSIGN_OR_RETURN(const std::vector<Certificate> certificates, ReadCertificates(authorities));
  std::string why;
  for (const Certificate& certificate : certificates) {
    why = WhyNotValid(*certificate, now);
    if (why.empty()) return absl::OkStatus();
  }
  return Bad(authorities, why, "an authority's certificate that is valid now");
}

}  // namespace spikeserve::identity

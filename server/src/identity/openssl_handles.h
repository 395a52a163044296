// OpenSSL's objects, which free themselves.

#ifndef SPIKESERVE_SERVER_IDENTITY_OPENSSL_HANDLES_H_
#define SPIKESERVE_SERVER_IDENTITY_OPENSSL_HANDLES_H_

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include <memory>
#include <string>

namespace spikeserve::identity {

template <auto kFree>
struct Free {
  template <typename T>
  void operator()(T* object) const {
    kFree(object);
  }
};
using Bio = std::unique_ptr<BIO, Free<BIO_free_all>>;
using Key = std::unique_ptr<EVP_PKEY, Free<EVP_PKEY_free>>;
using Certificate = std::unique_ptr<X509, Free<X509_free>>;

// What was written to a BIO in memory.
inline std::string TextOf(const Bio& bio) {
  char* text;
  const long size = BIO_get_mem_data(bio.get(), &text);
  return std::string(text, static_cast<size_t>(size));
}

}  // namespace spikeserve::identity

#endif  // SPIKESERVE_SERVER_IDENTITY_OPENSSL_HANDLES_H_

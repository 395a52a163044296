#include "support/certificates.h"

#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>

#include "identity/openssl_handles.h"
#include "rpc/grpc_lifetime.h"
#include "support/test_folder.h"

namespace spikeserve::testing {
namespace {

using identity::Bio;
using identity::Certificate;
using identity::Key;
using identity::TextOf;

void Check(bool ok) {
  if (ok) return;
  std::cerr << "OpenSSL failed while certificates for a test were made\n";
  std::abort();
}

Key NewKey() {
  rpc::KeepOpenSslAtExit();  // This may be what uses it first.
  Key key(EVP_EC_gen("P-256"));
  Check(key != nullptr);
  return key;
}

std::string ToPem(const X509& certificate) {
  const Bio bio(BIO_new(BIO_s_mem()));
  Check(PEM_write_bio_X509(bio.get(), const_cast<X509*>(&certificate)) == 1);
  return TextOf(bio);
}

std::string ToPem(EVP_PKEY& key) {
  const Bio bio(BIO_new(BIO_s_mem()));
  Check(PEM_write_bio_PKCS8PrivateKey(bio.get(), &key, nullptr, nullptr, 0, nullptr, nullptr) == 1);
  return TextOf(bio);
}

void AddExtension(X509& certificate, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, &certificate, &certificate, nullptr, nullptr, 0);
  X509_EXTENSION* const extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
  Check(extension != nullptr && X509_add_ext(&certificate, extension, -1) == 1);
  X509_EXTENSION_free(extension);
}

Certificate NewCertificate(EVP_PKEY& key, const CertificateRequest& request) {
  static std::atomic<long> serial = 1;
  Certificate certificate(X509_new());
  Check(X509_set_version(certificate.get(), 2) == 1);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate.get()), serial++);
  ASN1_TIME_set(X509_getm_notBefore(certificate.get()), absl::ToTimeT(request.begin));
  ASN1_TIME_set(X509_getm_notAfter(certificate.get()), absl::ToTimeT(request.end));
  if (!request.common_name.empty()) {
    Check(X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate.get()), "CN", MBSTRING_UTF8,
                                     reinterpret_cast<const unsigned char*>(request.common_name.c_str()), -1, -1,
                                     0) == 1);
  }
  if (!request.alternative_names.empty()) {
    AddExtension(*certificate, NID_subject_alt_name, request.alternative_names);
  }
  Check(X509_set_pubkey(certificate.get(), &key) == 1);
  return certificate;
}

}  // namespace

struct CertificateAuthority::Signer {
  Key key = NewKey();
  Certificate certificate;
};

CertificateAuthority::CertificateAuthority() : signer_(std::make_unique<Signer>()) {
  signer_->certificate =
      NewCertificate(*signer_->key, {.common_name = "an authority for tests", .alternative_names = ""});
  X509& certificate = *signer_->certificate;
  AddExtension(certificate, NID_basic_constraints, "critical,CA:TRUE");
  Check(X509_set_issuer_name(&certificate, X509_get_subject_name(&certificate)) == 1);
  Check(X509_sign(&certificate, signer_->key.get(), EVP_sha256()) != 0);
  certificate_ = ToPem(certificate);
}

CertificateAuthority::~CertificateAuthority() = default;

KeyPair CertificateAuthority::Issue(const CertificateRequest& request) const {
  const Key key = NewKey();
  const Certificate certificate = NewCertificate(*key, request);
  Check(X509_set_issuer_name(certificate.get(), X509_get_subject_name(signer_->certificate.get())) == 1);
  Check(X509_sign(certificate.get(), signer_->key.get(), EVP_sha256()) != 0);
  return {ToPem(*certificate), ToPem(*key)};
}

std::string Encrypted(const std::string& key) {
  const Bio reader(BIO_new_mem_buf(key.data(), static_cast<int>(key.size())));
  const Key parsed(PEM_read_bio_PrivateKey(reader.get(), nullptr, nullptr, nullptr));
  const Bio writer(BIO_new(BIO_s_mem()));
  std::string passphrase = "sesame";
  Check(PEM_write_bio_PKCS8PrivateKey(writer.get(), parsed.get(), EVP_aes_128_cbc(), passphrase.data(),
                                      static_cast<int>(passphrase.size()), nullptr, nullptr) == 1);
  return TextOf(writer);
}

std::string WriteTestFile(const std::string& name, const std::string& bytes) {
  static const TestFolder folder;
  const std::string path = folder.Path(name);
  std::ofstream(path + ".new", std::ios::binary) << bytes;
  Check(std::rename((path + ".new").c_str(), path.c_str()) == 0);
  return path;
}

}  // namespace spikeserve::testing

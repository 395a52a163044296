#include "identity/pem.h"

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "support/certificates.h"

namespace spikeserve::identity {
namespace {

using ::spikeserve::testing::CertificateAuthority;
using ::spikeserve::testing::CertificateRequest;
using ::spikeserve::testing::Encrypted;
using ::spikeserve::testing::KeyPair;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class PemTest : public ::testing::Test {
 protected:
  absl::StatusOr<std::string> Read(const std::string& chain, const std::string& key) {
    return ReadKeyPair({chain, "--tls-cert", "cert.pem"}, {key, "--tls-key", "key.pem"}, now_);
  }
  std::string Error(const std::string& chain, const std::string& key) {
    const absl::StatusOr<std::string> read = Read(chain, key);
    EXPECT_EQ(read.status().code(), absl::StatusCode::kInvalidArgument);
    return std::string(read.status().message());
  }

  const absl::Time now_ = absl::Now();
  const CertificateAuthority authority_;
  const KeyPair pair_ = authority_.Issue();
};

TEST_F(PemTest, AKeyAndItsChainBecomeOneTextWithNothingElse) {
  const absl::StatusOr<std::string> text =
      Read(absl::StrCat("A comment.\n", pair_.certificate, authority_.certificate()), pair_.key);
  ASSERT_TRUE(text.ok()) << text.status();
  EXPECT_EQ(*text, absl::StrCat(pair_.key, pair_.certificate, authority_.certificate()));
  // One file may hold both, in either order, and what stands beside is left out.
  const KeyPair other = authority_.Issue();
  EXPECT_EQ(*Read(absl::StrCat(other.key, pair_.certificate), absl::StrCat(other.certificate, pair_.key)),
            absl::StrCat(pair_.key, pair_.certificate));
}

TEST_F(PemTest, WhatIsNoCertificateIsRefused) {
  const std::string cut = pair_.certificate.substr(0, pair_.certificate.size() / 2);
  std::string changed = pair_.certificate;
  changed.replace(changed.find('\n') + 1, 4, "AAAA");
  EXPECT_THAT(Error("", pair_.key), AllOf(StartsWith("--tls-cert: "), HasSubstr("cert.pem has no certificate")));
  EXPECT_THAT(Error(pair_.key, pair_.key), HasSubstr("has no certificate"));
  EXPECT_THAT(Error(cut, pair_.key), HasSubstr("does not parse"));
  EXPECT_THAT(Error(changed, pair_.key), HasSubstr("does not parse"));
  EXPECT_THAT(Error(pair_.certificate + cut, pair_.key), HasSubstr("does not parse"));
}

TEST_F(PemTest, WhatIsNotTheCertificatesKeyIsRefused) {
  EXPECT_THAT(Error(pair_.certificate, ""), AllOf(StartsWith("--tls-key: "), HasSubstr("key.pem has no private key")));
  EXPECT_THAT(Error(pair_.certificate, pair_.certificate), HasSubstr("has no private key"));
  EXPECT_THAT(Error(pair_.certificate, authority_.Issue().key), HasSubstr("another private key"));
  EXPECT_THAT(Error(pair_.certificate, Encrypted(pair_.key)), HasSubstr("passphrase"));
}

TEST_F(PemTest, ACertificateThatIsNotValidNowIsRefused) {
  const KeyPair expired = authority_.Issue({.end = now_ - absl::Seconds(1)});
  EXPECT_THAT(Error(expired.certificate, expired.key), HasSubstr("expired on 20"));
  const KeyPair early = authority_.Issue({.begin = now_ + absl::Minutes(1)});
  EXPECT_THAT(Error(early.certificate, early.key), HasSubstr("not valid before 20"));
}

TEST_F(PemTest, AuthoritiesAreCertificatesOneOfWhichIsValid) {
  const std::string expired = authority_.Issue({.end = now_ - absl::Seconds(1)}).certificate;
  const auto check = [&](const std::string& text) { return CheckAuthorities({text, "--tls-client-ca", ""}, now_); };
  EXPECT_TRUE(check(authority_.certificate()).ok());
  EXPECT_TRUE(check(expired + authority_.certificate()).ok());
  for (const std::string& wrong : {std::string(), pair_.key, expired, authority_.certificate().substr(0, 200)}) {
    EXPECT_THAT(std::string(check(wrong).message()), StartsWith("--tls-client-ca: the PEM has "));
  }
}

}  // namespace
}  // namespace spikeserve::identity

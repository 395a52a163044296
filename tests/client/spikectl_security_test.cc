// The programs with TLS and tokens: what spikectl is told, what spikeserve refuses to start with.

#include <sys/stat.h>

#include <cstdlib>
#include <fstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "client/spikectl_server_testing.h"
#include "support/certificates.h"

namespace spikeserve::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::StartsWith;

// In a folder with the certificates of an authority (ca.pem), a server and a client, and with a token for alice.
class SpikectlSecurity : public SpikectlWithServer {
 protected:
  void SetUp() override {
    Write("ca.pem", authority_.certificate());
    WritePair("server", authority_.Issue());
    WritePair("client", authority_.Issue({.common_name = "a client", .alternative_names = ""}));
    Write("tokens", Output("token alice --save alice.token"));
  }

  void Write(const std::string& name, const std::string& bytes) const { std::ofstream(Path(name)) << bytes; }
  void WritePair(const std::string& name, const KeyPair& pair) const {
    Write(name + ".pem", pair.certificate);
    Write(name + ".key", pair.key);
  }

  void StartTlsServer() {
    const std::string flags = absl::StrCat("--tls-cert=", Path("server.pem"), "\n--tls-key=", Path("server.key"),
                                           "\n--tls-client-ca=", Path("ca.pem"), "\n--tokens=", Path("tokens"), "\n");
    Write("flags", flags);
    StartServer({"--flagfile=" + Path("flags")});
  }

  // How spikeserve ends with these flags, in the folder.
  Outcome Serve(const std::string& flags) const {
    const std::string command = absl::StrCat("cd ", Path("."), " && '" SPIKESERVE "' ", flags, " >stdout 2>stderr");
    const int status = std::system(command.c_str());
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, Bytes("stdout"), Bytes("stderr")};
  }

  static constexpr char kTls[] = " --tls-ca ca.pem --tls-cert client.pem --tls-key client.key";

  const CertificateAuthority authority_;
};

TEST_F(SpikectlSecurity, TokenMakesATokenAndItsLine) {
  EXPECT_THAT(Bytes("alice.token"), MatchesRegex("[0-9a-f]{64}\n"));
  EXPECT_THAT(Bytes("tokens"), MatchesRegex("alice:[0-9a-f]{64}\n"));
  struct stat file;
  ASSERT_EQ(stat(Path("alice.token").c_str(), &file), 0);
  EXPECT_EQ(file.st_mode & 0777, 0600u);
  EXPECT_THAT(Error("token alice --save alice.token", 1), HasSubstr("alice.token: File exists"));

  const nlohmann::json shown = Json("token bob.2");
  const std::string token = shown.at("token");
  EXPECT_NE(token, Json("token bob.2").at("token"));
  Write("bob.token", token);
  const int same = std::system(absl::StrCat("cd ", Path("."), " && test \"$(sha256sum < bob.token)\" = \"",
                                            std::string(shown.at("line")).substr(6), "  -\"")
                                   .c_str());
  EXPECT_EQ(same, 0) << shown;
  EXPECT_THAT(Output("token bob"), AllOf(StartsWith("token  "), HasSubstr("\nline   bob:")));
  for (const char* name : {"cert:bob", "b+b", "''"})
    EXPECT_THAT(Error(absl::StrCat("token ", name), 2), HasSubstr("NAME"));
}

TEST_F(SpikectlSecurity, CommandsGoOverTlsWithATokenFromAFileOrTheEnvironment) {
  StartTlsServer();
  EXPECT_THAT(Output(absl::StrCat("health", kTls)), HasSubstr("serves"));
  EXPECT_THAT(Error("health", 1), StartsWith("spikectl: UNAVAILABLE: "));
  EXPECT_THAT(Error("health --tls-ca ca.pem", 1), StartsWith("spikectl: UNAVAILABLE: "));
  EXPECT_THAT(Error(absl::StrCat("statistics", kTls), 1), StartsWith("spikectl: UNAUTHENTICATED: "));
  EXPECT_THAT(Output(absl::StrCat("statistics --token-file alice.token", kTls)), HasSubstr("calls_accepted"));
  EXPECT_EQ(Output(absl::StrCat("network list --token-file alice.token", kTls)), "no networks\n");
  EXPECT_EQ(Json(absl::StrCat("load --method stca-loss --calls 5 --token-file alice.token", kTls)).at("calls"), 5);
  EXPECT_THAT(Error(absl::StrCat("health --tls-server-name other.test", kTls), 1),
              StartsWith("spikectl: UNAVAILABLE: "));

  setenv("SPIKECTL_TLS_CA", Path("ca.pem").c_str(), 1);
  setenv("SPIKECTL_TLS_CERT", Path("client.pem").c_str(), 1);
  setenv("SPIKECTL_TLS_KEY", Path("client.key").c_str(), 1);
  setenv("SPIKECTL_TLS_SERVER_NAME", "localhost", 1);
  setenv("SPIKECTL_TOKEN", Bytes("alice.token").substr(0, 64).c_str(), 1);
  EXPECT_THAT(Output("statistics"), HasSubstr("calls_accepted"));
  for (const char* variable :
       {"SPIKECTL_TLS_CA", "SPIKECTL_TLS_CERT", "SPIKECTL_TLS_KEY", "SPIKECTL_TLS_SERVER_NAME", "SPIKECTL_TOKEN"}) {
    unsetenv(variable);
  }
}

TEST_F(SpikectlSecurity, WhatCannotBeIsSaidBeforeAnythingIsSent) {
  const std::string statistics = "statistics --server ";
  EXPECT_THAT(Error(statistics + "example.com:1 --token-file alice.token", 1),
              AllOf(StartsWith("spikectl: INVALID_ARGUMENT: token: "), HasSubstr("example.com:1 without TLS")));
  EXPECT_THAT(Error(statistics + "localhost:1 --token-file absent", 1), StartsWith("spikectl: NOT_FOUND: absent: "));
  EXPECT_THAT(Error(statistics + "localhost:1 --tls-ca absent.pem", 1),
              StartsWith("spikectl: NOT_FOUND: absent.pem: "));
  EXPECT_THAT(Error(statistics + "localhost:1 --tls-ca tokens", 1),
              StartsWith("spikectl: INVALID_ARGUMENT: tls.ca: the file tokens has no certificate"));
  EXPECT_THAT(Error(statistics + "localhost:1 --tls-cert client.pem", 1),
              StartsWith("spikectl: INVALID_ARGUMENT: tls.key: absent"));
  EXPECT_THAT(Error(statistics + "localhost:1 --tls-cert client.pem --tls-key server.key", 1),
              HasSubstr("tls.key: the file server.key has another private key"));
  EXPECT_THAT(Error(statistics + "unix:socket --tls-ca ca.pem", 1), StartsWith("spikectl: INVALID_ARGUMENT: tls: "));
}

TEST_F(SpikectlSecurity, TheServerDoesNotStartUnsafelyByAccident) {
  WritePair("expired", authority_.Issue({.end = absl::Now() - absl::Minutes(1)}));
  Write("broken-tokens", Bytes("tokens") + "alice\n");
  const std::pair<const char*, const char*> refused[] = {
      {"--listen=0.0.0.0:0", "--listen: 0.0.0.0:0 without TLS; need "},
      {"--listen=127.0.0.1:0,[::]:0", "--listen: [::]:0 without TLS; need "},
      {"--tls-cert=server.pem", "--tls-key: absent; need "},
      {"--tls-key=server.key", "--tls-cert: absent; need "},
      {"--tls-client-ca=ca.pem", "--tls-client-ca: no --tls-cert; need "},
      {"--tls-cert=expired.pem --tls-key=expired.key",
       "--tls-cert: the file expired.pem has a certificate that expired"},
      {"--tls-cert=server.pem --tls-key=client.key", "--tls-key: the file client.key has another private key; need "},
      {"--tls-cert=absent.pem --tls-key=server.key", "--tls-cert: cannot read the file absent.pem: "},
      {"--tls-cert=tokens --tls-key=server.key", "--tls-cert: the file tokens has no certificate; need "},
      {"--tls-cert=server.pem --tls-key=server.key --tls-client-ca=tokens", "--tls-client-ca: the file tokens has no"},
      {"--tokens=broken-tokens", "--tokens: the file broken-tokens: line 2: has no colon; need "},
      {"--tokens=absent", "--tokens: cannot read the file absent: "},
      {"--tokens ''", "--tokens: got no name; need a file"},
  };
  for (const auto& [flags, message] : refused) {
    for (const char* only_check : {"", " --check-config"}) {
      const Outcome outcome = Serve(absl::StrCat(flags, only_check));
      EXPECT_EQ(outcome.exit_code, 2) << flags;
      EXPECT_THAT(outcome.err, StartsWith(absl::StrCat("spikeserve: ", message)));
      EXPECT_EQ(outcome.err.find('\n') + 1, outcome.err.size()) << outcome.err;
    }
  }
  for (const char* good :
       {"--listen=0.0.0.0:0 --insecure", "--listen=0.0.0.0:0 --tls-cert=server.pem --tls-key=server.key",
        "--listen=unix:socket,127.0.0.1:0 --tokens=tokens"}) {
    EXPECT_EQ(Serve(absl::StrCat(good, " --check-config")).exit_code, 0) << good;
  }
}

}  // namespace
}  // namespace spikeserve::testing

#include "config/flags.h"

#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "support/test_folder.h"

namespace spikeserve::config {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

class FlagsTest : public ::testing::Test {
 protected:
  ~FlagsTest() override {
    for (const std::string& name : set_) unsetenv(name.c_str());
  }

  void Set(const std::string& name, const std::string& value) {
    setenv(name.c_str(), value.c_str(), 1);
    set_.push_back(name);
  }
  std::string FlagFile(const std::string& text) {
    std::ofstream(path_) << text;
    return "--flagfile=" + path_;
  }

  static absl::StatusOr<CommandLine> Parse(std::vector<std::string> flags) {
    std::vector<const char*> argv = {"spikeserve"};
    for (const std::string& flag : flags) argv.push_back(flag.c_str());
    return ParseCommandLine(static_cast<int>(argv.size()), argv.data());
  }
  static ServerConfig Config(std::vector<std::string> flags) {
    absl::StatusOr<CommandLine> parsed = Parse(std::move(flags));
    if (parsed.ok() && std::holds_alternative<ServerConfig>(*parsed)) return std::get<ServerConfig>(*parsed);
    ADD_FAILURE() << parsed.status();
    return {};
  }
  static std::string Error(std::vector<std::string> flags) {
    const absl::StatusOr<CommandLine> parsed = Parse(std::move(flags));
    EXPECT_FALSE(parsed.ok());
    std::string message(parsed.status().message());
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
    return message;
  }

  const testing::TestFolder folder_;
  const std::string path_ = folder_.Path("flags");
  std::vector<std::string> set_;
};

TEST_F(FlagsTest, ASourceHidesTheOnesBelowIt) {
  const std::string file = FlagFile("# Limits.\n--max-calls=1\n--threads=1\n\n  --max-pairs=1\n");
  EXPECT_EQ(Config({file}).server.engine.limits.max_calls, 1);
  Set("SPIKESERVE_MAX_CALLS", "2");
  Set("SPIKESERVE_THREADS", "2");
  const ServerConfig config = Config({file, "--max-calls=3"});
  EXPECT_EQ(config.server.engine.limits.max_calls, 3);
  EXPECT_EQ(config.server.engine.threads, 2);
  EXPECT_EQ(config.server.engine.limits.max_pairs, 1);
}

TEST_F(FlagsTest, TheFileMayBeNamedInTheEnvironment) {
  Set("SPIKESERVE_FLAGFILE", FlagFile("--max-calls=7").substr(11));
  EXPECT_EQ(Config({}).server.engine.limits.max_calls, 7);
}

TEST_F(FlagsTest, AddressesMayBeRepeatedOrListed) {
  EXPECT_THAT(Config({"--listen=127.0.0.1:1", "--listen", "unix:/a"}).server.listen,
              ElementsAre("127.0.0.1:1", "unix:/a"));
  EXPECT_THAT(Config({FlagFile("--listen=127.0.0.1:1\n--listen=127.0.0.1:2\n")}).server.listen,
              ElementsAre("127.0.0.1:1", "127.0.0.1:2"));
  Set("SPIKESERVE_LISTEN", "127.0.0.1:3,127.0.0.1:4");
  EXPECT_THAT(Config({}).server.listen, ElementsAre("127.0.0.1:3", "127.0.0.1:4"));
}

TEST_F(FlagsTest, ASwitchInTheEnvironmentIsTrueOrFalse) {
  Set("SPIKESERVE_SHARED_MEMORY", "true");
  EXPECT_TRUE(Config({"--listen=unix:/a"}).server.shared_memory.has_value());
  Set("SPIKESERVE_SHARED_MEMORY", "false");
  EXPECT_FALSE(Config({"--listen=unix:/a"}).server.shared_memory.has_value());
}

TEST_F(FlagsTest, OtherVariablesOfThePrefixAreNobodysBusiness) {
  // Kubernetes sets such for a service of this name.
  for (const char* name : {"SPIKESERVE_PORT", "SPIKESERVE_PORT_50051_TCP_ADDR", "SPIKESERVE_SERVICE_HOST"})
    Set(name, "x");
  EXPECT_THAT(Config({}).warnings, IsEmpty());
}

// CLI11 took 010 for 8.
TEST_F(FlagsTest, ZerosBeforeANumberChangeNothing) {
  const ServerConfig config = Config({"--threads=010", "--max-calls=0099", FlagFile("--max-pairs=0100\n")});
  EXPECT_EQ(config.server.engine.threads, 10);
  EXPECT_EQ(config.server.engine.limits.max_calls, 99);
  EXPECT_EQ(config.server.engine.limits.max_pairs, 100);
  EXPECT_THAT(Error({"--threads=0x10"}), HasSubstr("got 0x10"));
}

TEST_F(FlagsTest, CallsOnAnOldConnectionHaveTheTimeThatOneMayTake) {
  const auto grace = [](const std::vector<std::string>& flags) {
    return Config(flags).server.connections.max_age_grace;
  };
  EXPECT_EQ(grace({"--drain-timeout=1", "--max-compute-time=7", "--max-queue-delay=2"}), absl::Seconds(11));
  EXPECT_EQ(grace({"--drain-timeout=100", "--max-compute-time=7", "--max-queue-delay=2"}), absl::Seconds(100));
  EXPECT_GE(grace({}), Config({}).server.engine.limits.max_compute_time);
}

TEST_F(FlagsTest, AMistakeIsToldWithItsPlace) {
  EXPECT_THAT(Error({"--threads=5000"}), AllOf(HasSubstr("--threads"), HasSubstr("got 5000"), HasSubstr("0 to 1024")));
  EXPECT_THAT(Error({"--threads=1.5"}), HasSubstr("got 1.5"));
  EXPECT_THAT(Error({"--drain-timeout=-1"}), AllOf(HasSubstr("--drain-timeout"), HasSubstr("got -1")));
  EXPECT_THAT(Error({"--drain-timeout=nan"}), HasSubstr("--drain-timeout"));
  EXPECT_THAT(Error({"--drain-timeout=2000000000"}), HasSubstr("more than 0 and up to 1000000000"));
  EXPECT_THAT(Error({"--drain-delay=2000000000"}), HasSubstr("from 0 to 1000000000"));
  EXPECT_THAT(Error({"--nonsense"}), HasSubstr("--nonsense"));
  EXPECT_THAT(Error({"nonsense"}), HasSubstr("nonsense"));
  EXPECT_THAT(Error({FlagFile("--threads=1\n--nonsense=1")}), AllOf(HasSubstr(path_ + ":2"), HasSubstr("--nonsense")));
  EXPECT_THAT(Error({FlagFile("threads=1")}), HasSubstr(path_ + ":1"));
  EXPECT_THAT(Error({FlagFile("--flagfile=x")}), HasSubstr(path_ + ":1"));
  EXPECT_THAT(Error({FlagFile("\n--max-calls=x")}), AllOf(HasSubstr("got x"), HasSubstr(path_ + ":2")));
  EXPECT_THAT(Error({"--flagfile=/no/such/file"}), AllOf(HasSubstr("/no/such/file"), HasSubstr("No such file")));
  EXPECT_THAT(Error({"--flagfile=" + folder_.path()}), HasSubstr("cannot read"));
  EXPECT_THAT(Error({"--flagfile=/dev/zero"}), HasSubstr("not a regular file"));
  Set("SPIKESERVE_MAX_CALLS", "0");
  EXPECT_THAT(Error({}), AllOf(HasSubstr("got 0"), HasSubstr("environment variable SPIKESERVE_MAX_CALLS")));
}

// The parser took the flag after it for the value: a server without its --tokens let everybody in.
TEST_F(FlagsTest, AnEmptyValueIsAMistakeAndNotTheNextFlag) {
  const auto expect_refused = [](const std::vector<std::string>& flags, const std::string& place) {
    const auto parsed = Parse(flags);
    EXPECT_EQ(parsed.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(parsed.status().message()),
                AllOf(HasSubstr(place), HasSubstr("got nothing; need a value")));
  };
  expect_refused({"--state-dir=", "--tokens=tokens", "--check-config"}, "--state-dir");
  expect_refused({"--state-dir", "--tokens=tokens"}, "--state-dir");
  expect_refused({"--state-dir", "--check-config"}, "--state-dir");
  expect_refused({"--check-config", "--state-dir"}, "--state-dir");
  expect_refused({FlagFile("--state-dir\n--tokens=tokens\n")}, path_ + ":1: --state-dir");
  expect_refused({FlagFile("--state-dir=\n--tokens=tokens\n")}, path_ + ":1: --state-dir");
  Set("SPIKESERVE_INSECURE", "");
  expect_refused({"--listen=0.0.0.0:0"}, "SPIKESERVE_INSECURE");
}

TEST_F(FlagsTest, ASwitchTakesNoValueAndAValueMayBeginLikeAFlag) {
  const ServerConfig config = Config({"--insecure", "--state-dir=--dir", "--max-calls", "3", "--drain-timeout", "4"});
  EXPECT_TRUE(config.server.insecure);
  EXPECT_EQ(config.state_dir, "--dir");
  EXPECT_EQ(config.server.engine.limits.max_calls, 3);
  EXPECT_EQ(config.drain_timeout, absl::Seconds(4));
  Config({FlagFile("--insecure\n")});
}

TEST_F(FlagsTest, CheckingFindsWhatStartingWould) {
  EXPECT_TRUE(std::holds_alternative<Checked>(*Parse({"--check-config"})));
  EXPECT_THAT(Error({"--check-config", "--listen=nonsense"}), HasSubstr("--listen"));
  EXPECT_THAT(Error({"--check-config", "--shared-memory"}), HasSubstr("--shared-memory"));
  EXPECT_THAT(Error({"--check-config", "--listen=unix:"}), HasSubstr("unix:PATH"));
  EXPECT_THAT(Error({"--check-config", "--listen=unix:/" + std::string(107, 'a')}), HasSubstr("107 bytes"));
  EXPECT_THAT(Error({"--check-config", "--listen=http://127.0.0.1:1"}), HasSubstr("HOST:PORT"));
  // gRPC would take these for something else than a host and its port: 123 for a socket's name, 5 for a part of ::1:5.
  for (const char* address : {"unix-abstract:123", "UNIX-ABSTRACT:123", "::1:5", "ipv4:127.0.0.1:5", "dns:5"}) {
    EXPECT_THAT(Error({"--check-config", absl::StrCat("--listen=", address)}),
                AllOf(HasSubstr(address), HasSubstr("HOST:PORT"), HasSubstr("unix:PATH")));
  }
  EXPECT_THAT(Error({"--check-config", "--listen=127.0.0.1:5,127.0.0.1:5"}), HasSubstr("127.0.0.1:5 twice"));
  EXPECT_THAT(Error({"--check-config", "--listen=127.0.0.1:5", "--metrics-listen=127.0.0.1:05"}),
              HasSubstr("--metrics-listen: 127.0.0.1:05 twice"));
  EXPECT_THAT(Error({"--check-config", "--state-dir=" + FlagFile("").substr(11)}),
              AllOf(HasSubstr("--state-dir"), HasSubstr("Not a directory")));
  EXPECT_THAT(Error({"--check-config", "--state-dir=/no/such/folder"}), HasSubstr("No such file"));
}

// The second listener takes the socket away from the first, which nobody reaches then.
TEST_F(FlagsTest, OneUnixSocketUnderTwoSpellingsIsOneAddress) {
  for (const std::string other : {"unix:///tmp/a", "unix:/tmp/./a", "unix:/tmp/../tmp/a", "unix:/tmp//a"}) {
    EXPECT_THAT(Error({"--check-config", "--listen=unix:/tmp/a", "--listen=" + other}), HasSubstr(other + " twice"));
  }
  EXPECT_THAT(Error({"--check-config", "--listen=unix:a,unix:./a"}), HasSubstr("unix:./a twice"));
  const std::string link = folder_.Path("link");
  ASSERT_EQ(symlink("/tmp", link.c_str()), 0);
  EXPECT_THAT(Error({"--check-config", "--listen=unix:/tmp/a,unix:" + link + "/a"}), HasSubstr("twice"));
  EXPECT_TRUE(Parse({"--check-config", "--listen=unix:/tmp/a,unix:/tmp/b,unix:/a"}).ok());
}

TEST_F(FlagsTest, APortIsDigitsOnlyAndAnAddressHasNoBlanks) {
  for (const std::string address : {"127.0.0.1:5\n", "127.0.0.1: 5", "127.0.0.1:+5", "127.0.0.1:5 ", "127.0.0.1:-0",
                                    "127.0.0.1:", " 127.0.0.1:5", "127.0.0.1\t:5", "unix:/tmp/a\n"}) {
    const auto parsed = Parse({"--check-config", "--listen=" + address});
    EXPECT_EQ(parsed.status().code(), absl::StatusCode::kInvalidArgument) << address;
    EXPECT_THAT(std::string(parsed.status().message()), HasSubstr("\"" + address + "\"; need "));
  }
  // Free ports, two of them.
  EXPECT_TRUE(Parse({"--check-config", "--listen=127.0.0.1:00,127.0.0.1:00"}).ok());
}

TEST_F(FlagsTest, OneCallerOfSeveralTakesHalfOfTheNetworksUnlessSaidOtherwise) {
  const auto limits = [&](std::vector<std::string> more) {
    more.push_back("--max-networks=100");
    more.push_back("--max-network-bytes=1000");
    const server::Limits& limits = Config(more).server.engine.limits;
    return std::pair(limits.max_networks_per_identity, limits.max_network_bytes_per_identity);
  };
  const std::string tokens =
      "--tokens=" + FlagFile("a:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\n").substr(11);
  EXPECT_EQ(limits({}), std::pair(int64_t{0}, int64_t{0}));
  EXPECT_EQ(limits({tokens}), std::pair(int64_t{50}, int64_t{500}));
  EXPECT_EQ(limits({tokens, "--max-networks-per-identity=0", "--max-network-bytes-per-identity=7"}),
            std::pair(int64_t{0}, int64_t{7}));
}

// They are not encrypted, and tell the names of callers.
TEST_F(FlagsTest, MetricsAreOnlyForThisMachineUnlessSaidOtherwise) {
  EXPECT_TRUE(Parse({"--check-config", "--metrics-listen=127.0.0.1:9464"}).ok());
  EXPECT_THAT(Error({"--check-config", "--metrics-listen=0.0.0.0:9464"}),
              AllOf(HasSubstr("--metrics-listen: 0.0.0.0:9464"), HasSubstr("--insecure-metrics")));
  EXPECT_TRUE(Parse({"--check-config", "--metrics-listen=0.0.0.0:9464", "--insecure-metrics"}).ok());
  // To let metrics be read is not to let calls be.
  EXPECT_FALSE(Parse({"--check-config", "--listen=0.0.0.0:5", "--insecure-metrics"}).ok());
  EXPECT_FALSE(Parse({"--check-config", "--metrics-listen=0.0.0.0:9464", "--insecure"}).ok());
}

TEST_F(FlagsTest, CheckingMakesNothing) {
  const std::string path = folder_.Path("not-made");
  EXPECT_TRUE(Parse({"--check-config", "--state-dir=" + path}).ok());
  EXPECT_NE(access(path.c_str(), F_OK), 0);
}

TEST_F(FlagsTest, AFlagIsGivenOnce) {
  EXPECT_THAT(Error({"--max-calls=1", "--max-calls=2"}), HasSubstr("--max-calls is given twice"));
  EXPECT_THAT(Error({FlagFile("--max-calls=1\n\n--max-calls=2\n")}),
              AllOf(HasSubstr(path_ + ":3"), HasSubstr("given twice")));
}

TEST_F(FlagsTest, AMisspelledFlagIsToldWithTheOneThatIsLikeIt) {
  EXPECT_THAT(Error({"--max-cals=1"}), HasSubstr("did you mean --max-calls?"));
  EXPECT_THAT(Error({FlagFile("--max-cals=1")}), HasSubstr("did you mean --max-calls?"));
  EXPECT_THAT(Error({"--nonsense"}), Not(HasSubstr("did you mean")));
}

TEST_F(FlagsTest, ASwitchIsTrueOrFalse) {
  EXPECT_THAT(Error({"--insecure=maybe"}), HasSubstr("got maybe; need true or false"));
  Set("SPIKESERVE_INSECURE", "maybe");
  EXPECT_THAT(Error({}), AllOf(HasSubstr("SPIKESERVE_INSECURE"), HasSubstr("need true or false")));
}

TEST_F(FlagsTest, WhatMayNotBeMeantIsAWarning) {
  EXPECT_THAT(Config({}).warnings, IsEmpty());
  Set("SPIKESERVE_MAX_CALS", "1");
  EXPECT_THAT(Config({}).warnings, ElementsAre(HasSubstr("SPIKESERVE_MAX_CALS")));
  Set("SPIKESERVE_SERVER", "127.0.0.1:1");  // spikectl's.
  EXPECT_THAT(Config({}).warnings, SizeIs(1));
  unsetenv("SPIKESERVE_SERVER");
  unsetenv("SPIKESERVE_MAX_CALS");
  const std::string tokens =
      "--tokens=" + FlagFile("a:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\n").substr(11);
  EXPECT_THAT(Config({"--listen=127.0.0.1:0", tokens}).warnings, IsEmpty());
  EXPECT_THAT(Config({"--listen=0.0.0.0:0", "--insecure", tokens}).warnings, ElementsAre(HasSubstr("--tls-cert")));
  for (const std::string limit : {"--max-networks-per-identity=1", "--max-network-bytes-per-identity=1000"}) {
    EXPECT_THAT(Config({limit}).warnings, ElementsAre(HasSubstr("all callers are one identity")));
    EXPECT_THAT(Config({limit, tokens}).warnings, IsEmpty());
  }
  EXPECT_THAT(Config({"--max-message-bytes=1001", "--max-bytes-in-flight=1001"}).warnings, IsEmpty());
  EXPECT_THAT(Config({"--max-message-bytes=1001", "--max-bytes-in-flight=1000"}).warnings,
              ElementsAre(HasSubstr("--max-bytes-in-flight=1000 is less than --max-message-bytes=1001")));
}

}  // namespace
}  // namespace spikeserve::config

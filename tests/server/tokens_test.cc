#include "identity/tokens.h"

#include <cstdio>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "support/certificates.h"
#include "support/events.h"

namespace spikeserve::identity {
namespace {

using ::spikeserve::testing::WriteTestFile;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(Tokens, TheDigestIsSha256) {
  // FIPS 180-2, B.1.
  EXPECT_EQ(TokenLine("abc", "abc"), "abc:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(Tokens, ATokenHasTheNameOfItsLine) {
  const auto tokens = TokenSet::Parse(absl::StrCat("# Who may call.\n\n", TokenLine("alice", "one"), "\n  ",
                                                   absl::AsciiStrToUpper(TokenLine("B", "two")), "  \r\n",
                                                   TokenLine("alice", "three")));
  ASSERT_TRUE(tokens.ok()) << tokens.status();
  EXPECT_EQ(tokens->size(), 3u);
  EXPECT_EQ(tokens->NameOf("one"), "alice");
  EXPECT_EQ(tokens->NameOf("two"), "B");
  EXPECT_EQ(tokens->NameOf("three"), "alice") << "a name may have several tokens";
  for (const char* wrong : {"", "on", "one ", "onee", "ONE", "alice"}) EXPECT_EQ(tokens->NameOf(wrong), std::nullopt);
}

TEST(Tokens, EveryTokenOfALargeSetIsFoundAndNoOther) {
  std::string text;
  for (int i = 0; i < 257; ++i) absl::StrAppend(&text, TokenLine(absl::StrCat("name-", i), absl::StrCat("t", i)), "\n");
  const auto tokens = TokenSet::Parse(text);
  ASSERT_TRUE(tokens.ok());
  for (int i = 0; i < 257; ++i) EXPECT_EQ(tokens->NameOf(absl::StrCat("t", i)), absl::StrCat("name-", i));
  EXPECT_EQ(tokens->NameOf("t257"), std::nullopt);
}

TEST(Tokens, AWrongLineIsRefusedByItsNumberAndNotRepeated) {
  const std::string good = TokenLine("alice", "one");
  const std::string digest = good.substr(6);
  const std::vector<std::string> kWrong = {"a-secret",
                                           ":" + digest,
                                           "a-secret:",
                                           "a-secret:" + digest.substr(1),
                                           "a-secret:" + digest + "0",
                                           "a-secret:g" + digest.substr(1),
                                           "cert:a-secret:" + digest,
                                           "a-secret b:" + digest,
                                           "a-secret\xc3\xa9:" + digest,
                                           std::string(65, 'a') + ":" + digest,
                                           "a-secret :" + digest,
                                           "a-secret: " + digest,
                                           "a-secret:" + digest};
  for (const std::string& wrong : kWrong) {
    const auto tokens = TokenSet::Parse(absl::StrCat(good, "\n# A comment.\n", wrong, "\n"));
    ASSERT_FALSE(tokens.ok()) << wrong;
    EXPECT_EQ(tokens.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(tokens.status().message()), HasSubstr("line 3: ")) << wrong;
    EXPECT_THAT(std::string(tokens.status().message()), Not(HasSubstr("a-secret"))) << "it may be a token itself";
  }
  for (const char* empty : {"", "\n\n", "# Nobody.\n"}) EXPECT_FALSE(TokenSet::Parse(empty).ok());
}

TEST(Tokens, WhatMayBeATokenIsRfc6750s) {
  for (const char* token : {"a", "AZaz09-._~+/", "YWJj=", "a=="}) EXPECT_TRUE(IsToken(token)) << token;
  for (const std::string& none : {std::string(), std::string("="), std::string("a b"), std::string("a=b"),
                                  std::string("a\n"), std::string("\xff"), std::string(1025, 'a')}) {
    EXPECT_FALSE(IsToken(none)) << none;
  }
}

TEST(TokenFile, WhatDoesNotParseAtFirstIsRefusedWithFileAndLine) {
  const std::string path = WriteTestFile("broken-tokens", "alice:1234\n");
  for (const absl::Status& status : {TokenFile::Check(path), TokenFile::Open(path, [](auto&) {}).status()}) {
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(status.message()), HasSubstr(absl::StrCat("--tokens: the file ", path, ": line 1: ")));
  }
  EXPECT_THAT(std::string(TokenFile::Check("/absent/tokens").message()), HasSubstr("/absent/tokens"));
}

TEST(TokenFile, AChangedFileIsTakenAndABrokenOneIsNot) {
  const auto write = [](const std::string& text) { return WriteTestFile("tokens", text); };
  testing::Events events;
  const std::string path = write(TokenLine("alice", "one"));
  const auto tokens = TokenFile::Open(path, events.sink(), absl::Milliseconds(5));
  ASSERT_TRUE(tokens.ok()) << tokens.status();
  EXPECT_EQ((*tokens)->NameOf("one"), "alice");

  write(TokenLine("bob", "two"));
  EXPECT_EQ(events[0], "files read again, and in use flags=--tokens");
  EXPECT_EQ((*tokens)->NameOf("one"), std::nullopt);
  EXPECT_EQ((*tokens)->NameOf("two"), "bob");

  write(TokenLine("bob", "two") + "\nnonsense\n");
  EXPECT_THAT(events[1], HasSubstr("line 2: "));
  EXPECT_THAT(events[1], HasSubstr("what was read before stays in use"));
  EXPECT_EQ((*tokens)->NameOf("two"), "bob");
  write("");
  EXPECT_THAT(events[2], HasSubstr("no tokens"));
  EXPECT_EQ((*tokens)->NameOf("two"), "bob");
  std::remove(path.c_str());
  EXPECT_THAT(events[3], HasSubstr("cannot read the file"));
  EXPECT_EQ((*tokens)->NameOf("two"), "bob");

  write(TokenLine("carol", "three"));
  EXPECT_EQ(events[4], "files read again, and in use flags=--tokens") << "each fault is told once";
  EXPECT_EQ((*tokens)->NameOf("three"), "carol");
}

}  // namespace
}  // namespace spikeserve::identity

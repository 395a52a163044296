#include "printable.h"

#include "gtest/gtest.h"

namespace spikeserve {
namespace {

TEST(Printable, TextStaysAsItIs) {
  const char text[] = "caf\u00e9 \u2192 \U0001F600 [31m \"\\ ~";
  EXPECT_EQ(Printable(text), text);
  EXPECT_EQ(Printable(""), "");
}

TEST(Printable, ControlCharactersAreEscaped) {
  EXPECT_EQ(Printable(std::string_view("\0\033[2J\r\x7f", 7)), "\\u0000\\u001b[2J\\u000d\\u007f");
  EXPECT_EQ(Printable("\u0080\u009b\u009f\u00a0"), "\\u0080\\u009b\\u009f\u00a0");
}

TEST(Printable, LineBreaksAndTabsAreBlanks) {
  EXPECT_EQ(Printable("a\n\tb\n"), "a  b ");
  EXPECT_EQ(PrintableLines("a\tb\033\n\nc\n"), "a b\\u001b\n\nc\n");
}

TEST(Printable, BytesThatAreNoUtf8AreReplaced) {
  constexpr char kReplacement[] = "\uFFFD";
  for (const char* bytes : {"\x9b", "\xff", "\xc0", "\xe2"}) EXPECT_EQ(Printable(bytes), kReplacement);
  EXPECT_EQ(Printable("\xc0\x80"), std::string(kReplacement) + kReplacement) << "overlong";
  EXPECT_EQ(Printable("\xed\xa0\x80").find('\xed'), std::string::npos) << "a surrogate";
  EXPECT_EQ(Printable("\xe2\x86"), std::string(kReplacement) + kReplacement) << "cut off";
}

TEST(CutLine, IsCutBetweenCharacters) {
  EXPECT_EQ(CutLine("abc", 3), "abc");
  EXPECT_EQ(CutLine("abc", 2), "ab");
  EXPECT_EQ(CutLine("a\u00e9b", 2), "a");
  EXPECT_EQ(CutLine("a\u00e9b", 3), "a\u00e9");
  EXPECT_EQ(CutLine("\u2192", 2), "");
}

}  // namespace
}  // namespace spikeserve

#include "telemetry/trace_context.h"

#include <string>

#include "gtest/gtest.h"

namespace spikeserve::telemetry {
namespace {

// The specification's example.
constexpr char kValid[] = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

TEST(TraceContext, IsReadFromTheHeader) {
  const std::string header = kValid;
  const auto context = ParseTraceparent(header);
  ASSERT_TRUE(context.has_value());
  EXPECT_EQ(context->trace_id, "4bf92f3577b34da6a3ce929d0e0e4736");
  EXPECT_EQ(context->span_id, "00f067aa0ba902b7");
}

TEST(TraceContext, OfALaterVersionMayGoOn) {
  for (const char* header : {"cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
                             "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-the-future-will-be-like"}) {
    const auto context = ParseTraceparent(header);
    ASSERT_TRUE(context.has_value()) << header;
    EXPECT_EQ(context->span_id, "00f067aa0ba902b7");
  }
}

TEST(TraceContext, ThatIsMalformedIsNone) {
  for (const char* header : {
           "", "00",
           "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",       // No flags.
           "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0",     // Too short.
           "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",  // Version 00 ends.
           "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01x",   // No dash after the flags.
           "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",    // No version.
           "0g-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",    //
           "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",    // Capitals.
           "00-00000000000000000000000000000000-00f067aa0ba902b7-01",    // Zeros.
           "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",    //
           "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b71-01",    // Dashes elsewhere.
           "00_4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7_01",    //
           "00-4bf92f3577b34da6a3ce929d0e0e47\n6-00f067aa0ba902b7-01",   //
           " 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",   //
       }) {
    EXPECT_FALSE(ParseTraceparent(header).has_value()) << header;
  }
}

TEST(TraceContext, NoByteOfItMayBeAnother) {
  for (size_t i = 0; i < std::string(kValid).size(); ++i) {
    for (const char byte : {'x', ' ', '\0', '\xff'}) {
      std::string header = kValid;
      header[i] = byte;
      EXPECT_FALSE(ParseTraceparent(header).has_value()) << header;
    }
  }
}

}  // namespace
}  // namespace spikeserve::telemetry

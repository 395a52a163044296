#include "rpc/address.h"

#include "gtest/gtest.h"

namespace spikeserve::rpc {
namespace {

TEST(Address, LoopbackAndUnixSocketsAreLocal) {
  for (const char* address :
       {"127.0.0.1:50051", "127.255.0.9:0", "localhost:1", "LOCALHOST:1", "[::1]:50051", "::1", "localhost",
        "unix:/run/socket", "unix:relative", "unix:///run/socket", "unix-abstract:name", "dns:///localhost:1",
        "dns:localhost:1", "ipv4:127.0.0.1:1", "ipv4:127.0.0.1:1,127.0.0.2:1", "ipv6:[::1]:1"}) {
    EXPECT_TRUE(IsLocal(address)) << address;
  }
}

TEST(Address, WhateverIsNotKnownToBeLocalIsNot) {
  for (const char* address : {"0.0.0.0:50051",
                              "[::]:50051",
                              "::",
                              "10.0.0.1:1",
                              "128.0.0.1:1",
                              "127.example.com:1",
                              "127.0.0.1.example.com:1",
                              "localhost.example.com:1",
                              "notlocalhost:1",
                              "127.1:1",
                              "2130706433:1",
                              "0x7f.0.0.1:1",
                              "[::ffff:10.0.0.1]:1",
                              "[::1",
                              "",
                              ":50051",
                              "example.com:443",
                              "dns://8.8.8.8/localhost:1",
                              "ipv4:127.0.0.1:1,10.0.0.1:1",
                              "xds:///a"}) {
    EXPECT_FALSE(IsLocal(address)) << address;
  }
}

TEST(Address, OnlyUnixSocketsAreUnixSockets) {
  EXPECT_TRUE(IsUnixSocket("unix:/run/socket"));
  EXPECT_FALSE(IsUnixSocket("unix.example.com:1"));
  EXPECT_FALSE(IsUnixSocket("127.0.0.1:1"));
}

}  // namespace
}  // namespace spikeserve::rpc

#include "rpc/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <string>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace spikeserve::rpc {
namespace {

bool IsLoopback(const std::string& host) {
  if (absl::EqualsIgnoreCase(host, "localhost")) return true;
  in_addr v4;
  if (inet_pton(AF_INET, host.c_str(), &v4) == 1) return (ntohl(v4.s_addr) >> 24) == 127;
  in6_addr v6;
  return inet_pton(AF_INET6, host.c_str(), &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

}  // namespace

std::string HostOf(std::string_view address) {
  absl::string_view text(address.data(), address.size());
  if (absl::ConsumePrefix(&text, "[")) {
    const size_t end = text.find(']');
    return end == text.npos ? "" : std::string(text.substr(0, end));
  }
  const size_t colon = text.find(':');
  // Several colons are those of an IPv6 address without a port.
  if (colon != text.npos && colon == text.rfind(':')) text = text.substr(0, colon);
  return std::string(text);
}

bool IsUnixSocket(std::string_view address) {
  const absl::string_view text(address.data(), address.size());
  return absl::StartsWith(text, "unix:") || absl::StartsWith(text, "unix-abstract:");
}

bool IsLocal(std::string_view address) {
  if (IsUnixSocket(address)) return true;
  absl::string_view text(address.data(), address.size());
  // An authority ("dns://SERVER/NAME") decides what a name is, and is not asked here.
  if (!absl::ConsumePrefix(&text, "dns:///")) {
    for (const char* scheme : {"dns:", "ipv4:", "ipv6:"}) {
      if (absl::ConsumePrefix(&text, scheme)) break;
    }
  }
  for (const absl::string_view one : absl::StrSplit(text, ',')) {
    if (!IsLoopback(HostOf({one.data(), one.size()}))) return false;
  }
  return true;
}

}  // namespace spikeserve::rpc

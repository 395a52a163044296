#include "rpc/caller_of.h"

#include <optional>
#include <string>
#include <string_view>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "grpc/grpc_security_constants.h"
#include "rpc/address.h"
#include "spikeserve/compute/field_error.h"
#include "status_macros.h"

namespace spikeserve::rpc {
namespace {

absl::Status Unauthenticated(std::string_view got) {
  return FieldError(absl::StatusCode::kUnauthenticated, "authorization", got,
                    "\"Bearer TOKEN\" in the call's metadata, with a token of the server's --tokens");
}

// The token of "Bearer TOKEN"; the scheme is in letters of either case.
std::optional<std::string_view> BearerToken(absl::string_view authorization) {
  constexpr absl::string_view kScheme = "bearer ";
  if (!absl::StartsWithIgnoreCase(authorization, kScheme)) return std::nullopt;
  authorization = absl::StripLeadingAsciiWhitespace(authorization.substr(kScheme.size()));
  const std::string_view token(authorization.data(), authorization.size());
  if (!identity::IsToken(token)) return std::nullopt;
  return token;
}

absl::StatusOr<std::string> NameByToken(const grpc::CallbackServerContext& context, const identity::TokenFile& tokens) {
  const auto [begin, end] = context.client_metadata().equal_range("authorization");
  if (begin == end) return Unauthenticated("absent");
  if (std::next(begin) != end) return Unauthenticated("there several times");
  const std::optional<std::string_view> token = BearerToken({begin->second.data(), begin->second.size()});
  if (!token) return Unauthenticated("something else");
  const std::optional<std::string> name = tokens.NameOf(*token);
  if (!name) return Unauthenticated("an unknown token");
  return *name;
}

absl::StatusOr<std::string> NameByCertificate(const grpc::CallbackServerContext& context) {
  if (IsUnixSocket(context.peer())) return "";
  const std::shared_ptr<const grpc::AuthContext> auth = context.auth_context();
  for (const char* property : {GRPC_X509_CN_PROPERTY_NAME, GRPC_X509_SAN_PROPERTY_NAME}) {
    for (const grpc::string_ref& name : auth->FindPropertyValues(property)) {
      if (!name.empty()) return absl::StrCat("cert:", absl::CHexEscape({name.data(), name.size()}));
    }
  }
  return absl::UnauthenticatedError(
      "the client's certificate names nobody; need one with a common name or an alternative name");
}

}  // namespace

std::string PeerOf(const grpc::ServerContextBase& context) {
  // gRPC escapes what may not stand in a URI's path.
  return absl::StrReplaceAll(context.peer(), {{"%5B", "["}, {"%5D", "]"}, {"%25", "%"}});
}

absl::StatusOr<server::Caller> CallerOf(const grpc::CallbackServerContext& context, const CallerRules& rules) {
  server::Caller caller;
  caller.peer = PeerOf(context);
  if (rules.tokens != nullptr) {
    SPIKESERVE_ASSIGN_OR_RETURN(caller.identity, NameByToken(context, *rules.tokens));
  } else if (rules.client_certificates) {
    SPIKESERVE_ASSIGN_OR_RETURN(caller.identity, NameByCertificate(context));
  }
  const auto& metadata = context.client_metadata();
  if (const auto it = metadata.find("traceparent"); it != metadata.end()) {
    caller.traceparent.assign(it->second.data(), it->second.size());
  }
  return caller;
}

}  // namespace spikeserve::rpc

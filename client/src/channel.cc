#include "channel.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "file/file.h"
#include "identity/pem.h"
#include "identity/tokens.h"
#include "rpc/address.h"
#include "spikeserve/compute/field_error.h"
#include "status_macros.h"

namespace spikeserve {
namespace {

// What one of TlsOptions' pairs, the PEM itself or a file of it, gives.
absl::StatusOr<std::string> Text(const std::string& pem, const std::string& file, std::string_view field) {
  if (!pem.empty() && !file.empty()) return InvalidField(field, "both PEM and a file", "one of them");
  return file.empty() ? pem : file::ReadFile(file);
}

absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> TlsCredentials(const TlsOptions& tls) {
  const absl::Time now = absl::Now();
  grpc::SslCredentialsOptions options;
  SPIKESERVE_ASSIGN_OR_RETURN(options.pem_root_certs, Text(tls.ca_pem, tls.ca_file, "tls.ca"));
  if (!tls.ca_pem.empty() || !tls.ca_file.empty()) {
    SPIKESERVE_RETURN_IF_ERROR(identity::CheckAuthorities({options.pem_root_certs, "tls.ca", tls.ca_file}, now));
  }
  const bool has_certificate = !tls.certificate_pem.empty() || !tls.certificate_file.empty();
  const bool has_key = !tls.key_pem.empty() || !tls.key_file.empty();
  if (has_certificate != has_key) {
    return has_key ? InvalidField("tls.certificate", "absent", "the certificate of tls.key")
                   : InvalidField("tls.key", "absent", "the key of tls.certificate");
  }
  if (has_certificate) {
    SPIKESERVE_ASSIGN_OR_RETURN(const std::string chain,
                                Text(tls.certificate_pem, tls.certificate_file, "tls.certificate"));
    SPIKESERVE_ASSIGN_OR_RETURN(const std::string key, Text(tls.key_pem, tls.key_file, "tls.key"));
    SPIKESERVE_ASSIGN_OR_RETURN(
        options.pem_cert_chain,
        identity::ReadKeyPair({chain, "tls.certificate", tls.certificate_file}, {key, "tls.key", tls.key_file}, now));
    options.pem_private_key = options.pem_cert_chain;
  }
  return grpc::SslCredentials(options);
}

}  // namespace

absl::StatusOr<std::shared_ptr<grpc::Channel>> MakeChannel(std::string_view target, const ConnectOptions& options,
                                                           grpc::ChannelArguments arguments) {
  if (!options.token.empty()) {
    if (!identity::IsToken(options.token)) {
      return InvalidField("token", "something else", "1 to 1024 letters, digits, '-', '.', '_', '~', '+' and '/'");
    }
    if (!options.tls && !rpc::IsLocal(target)) {
      return InvalidField("token",
                          absl::StrCat("set, and ", std::string(target), " without TLS, where others can read it"),
                          "TLS, a loopback address or unix:PATH");
    }
  }
  std::shared_ptr<grpc::ChannelCredentials> credentials = grpc::InsecureChannelCredentials();
  if (options.tls) {
    if (rpc::IsUnixSocket(target)) {
      return InvalidField("tls", absl::StrCat("set, and ", std::string(target)), "HOST:PORT: unix: is not encrypted");
    }
    SPIKESERVE_ASSIGN_OR_RETURN(credentials, TlsCredentials(*options.tls));
    if (!options.tls->server_name.empty()) arguments.SetSslTargetNameOverride(options.tls->server_name);
  } else if (rpc::IsLocal(target)) {
    // gRPC takes the proxy of the environment (http_proxy) for this machine as well, and would send all to it in plain.
    arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  }
  return grpc::CreateCustomChannel(std::string(target), credentials, arguments);
}

}  // namespace spikeserve

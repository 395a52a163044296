#include "cli/connection_flags.h"

#include <algorithm>
#include <cstdlib>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "file/file.h"
#include "status_macros.h"

namespace spikeserve::cli {
namespace {

constexpr char kGroup[] = "Connection";

}  // namespace

absl::StatusOr<ConnectOptions> ConnectionFlags::Options() const {
  ConnectOptions options;
  const std::string* const names[] = {&tls.ca_file, &tls.certificate_file, &tls.key_file, &tls.server_name};
  if (std::any_of(std::begin(names), std::end(names), [](auto* name) { return !name->empty(); })) options.tls = tls;
  options.token = token;
  if (!token_file.empty()) {
    SPIKESERVE_ASSIGN_OR_RETURN(const std::string text, file::ReadFile(token_file));
    options.token = std::string(absl::StripAsciiWhitespace(text));
    if (options.token.empty()) return absl::InvalidArgumentError("--token-file: no token in " + token_file);
  }
  return options;
}

ConnectionFlags ConnectionFlagsFromEnvironment() {
  ConnectionFlags flags;
  const std::pair<const char*, std::string*> variables[] = {{"SPIKESERVE_SERVER", &flags.server},
                                                            {"SPIKECTL_TLS_CA", &flags.tls.ca_file},
                                                            {"SPIKECTL_TLS_CERT", &flags.tls.certificate_file},
                                                            {"SPIKECTL_TLS_KEY", &flags.tls.key_file},
                                                            {"SPIKECTL_TLS_SERVER_NAME", &flags.tls.server_name},
                                                            {"SPIKECTL_TOKEN", &flags.token}};
  for (const auto& [variable, flag] : variables) {
    if (const char* value = std::getenv(variable); value != nullptr) *flag = value;
  }
  return flags;
}

void AddConnectionFlags(CLI::App& app, ConnectionFlags& flags) {
  app.add_option("--server", flags.server, "HOST:PORT or unix:PATH (default: $SPIKESERVE_SERVER)")
      ->type_name("ADDRESS")
      ->group(kGroup);
  app.add_option("--timeout", flags.timeout_seconds, "Give up after this time (default: none)")
      ->type_name("SECONDS")
      ->check([](const std::string& text) -> std::string {
        double seconds;
        return absl::SimpleAtod(text, &seconds) && seconds > 0 ? "" : "got " + text + "; need seconds > 0";
      })
      ->group(kGroup);
  const auto add = [&](const char* name, std::string& value, const char* type, const char* help) {
    app.add_option(name, value, help)->type_name(type)->group(kGroup);
  };
  add("--tls-ca", flags.tls.ca_file, "FILE",
      "Encrypt; the server shows a certificate of these authorities (default: $SPIKECTL_TLS_CA)");
  add("--tls-cert", flags.tls.certificate_file, "FILE",
      "Encrypt, and show this certificate (default: $SPIKECTL_TLS_CERT)");
  add("--tls-key", flags.tls.key_file, "FILE", "The key of --tls-cert (default: $SPIKECTL_TLS_KEY)");
  add("--tls-server-name", flags.tls.server_name, "NAME",
      "The name in the server's certificate (default: $SPIKECTL_TLS_SERVER_NAME, or the host)");
  add("--token-file", flags.token_file, "FILE", "Prove who calls with the token in it (default: $SPIKECTL_TOKEN)");
}

}  // namespace spikeserve::cli

#include "config/flags.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <string>
#include <utility>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "config/flag_sources.h"
#include "rpc/address.h"
#include "rpc/listening.h"
#include "spikeserve/compute/field_error.h"
#include "state/posix_directory.h"
#include "status_macros.h"
#include "telemetry/metrics_listener.h"
#include "version.h"

namespace spikeserve::config {
namespace {

constexpr char kProgram[] = "spikeserve " SPIKESERVE_VERSION;

// What the flags set.
struct Values {
  ServerConfig config;
  bool share_memory = false;
  shared_memory::Quota shared_memory;
  std::string flag_file;
  bool check_config = false;
  rpc::TlsFiles tls;
};

// A whole number from `min` to `max`.
template <typename T>
void AddNumber(CLI::App& app, const std::string& name, T& value, const std::string& help, int64_t min, int64_t max) {
  // CLI11 itself would read 010 as an octal number, which is 8.
  const auto set = [&value, name, min, max](const std::string& text) {
    int64_t number;
    if (!absl::SimpleAtoi(text, &number) || number < min || number > max) {
      throw CLI::ValidationError(name, absl::StrCat("got ", text, "; need a whole number from ", min, " to ", max));
    }
    value = static_cast<T>(number);
  };
  app.add_option_function<std::string>(name, set, help)->default_str(absl::StrCat(value))->type_name("N");
}

void AddLimit(CLI::App& app, const std::string& name, int64_t& value, const std::string& help,
              int64_t max = int64_t{1} << 40) {
  AddNumber(app, name, value, help, 1, max);
}

constexpr char kNetworksPerIdentity[] = "--max-networks-per-identity";
constexpr char kNetworkBytesPerIdentity[] = "--max-network-bytes-per-identity";

enum class Zero { kRefused, kAllowed };

// A time in seconds.
void AddSeconds(CLI::App& app, const std::string& name, absl::Duration& value, const std::string& help,
                Zero zero = Zero::kRefused) {
  constexpr int64_t kMax = 1'000'000'000;
  const auto check = [zero](const std::string& text) -> std::string {
    double seconds;
    const bool is_number = absl::SimpleAtod(text, &seconds);
    if (is_number && seconds <= kMax && (seconds > 0 || (seconds == 0 && zero == Zero::kAllowed))) return "";
    return absl::StrCat("got ", text, "; need seconds, ",
                        zero == Zero::kAllowed ? "from 0 to " : "more than 0 and up to ", kMax);
  };
  app.add_option_function<double>(
         name, [&value](double seconds) { value = absl::Seconds(seconds); }, help)
      ->check(check)
      ->default_str(value == absl::InfiniteDuration() ? "none" : absl::StrCat(absl::ToDoubleSeconds(value)))
      ->type_name("SECONDS");
}

// One of a few words, each of which stands for a value.
template <typename T, size_t N>
CLI::Option* AddWord(CLI::App& app, const std::string& name, T& value, const std::string& help,
                     const std::array<std::pair<const char*, T>, N>& words) {
  const std::string all =
      absl::StrJoin(words, "|", [](std::string* out, const auto& word) { out->append(word.first); });
  const auto set = [&value, name, words, all](const std::string& text) {
    for (const auto& [word, meaning] : words) {
      if (text != word) continue;
      value = meaning;
      return;
    }
    throw CLI::ValidationError(name, absl::StrCat("got ", text, "; need ", all));
  };
  return app.add_option_function<std::string>(name, set, help)->type_name(all);
}

void AddListening(CLI::App& app, Values& values) {
  app.add_option("--listen", values.config.server.listen,
                 "HOST:PORT (port 0: a free one) or unix:PATH; may be repeated")
      ->delimiter(',')
      ->capture_default_str()
      ->type_name("ADDRESS");
  app.add_flag("--shared-memory", values.share_memory,
               "Let clients on each --listen=unix:PATH hand over memory, on the socket PATH.shm");
}

void AddSecurity(CLI::App& app, Values& values) {
  const auto add_file = [&](const char* name, std::string& path, const char* help) {
    // An empty name, as an unset variable of a shell leaves it, must not turn off what was asked for.
    const auto check = [](const std::string& text) {
      return text.empty() ? "got no name; need a file" : std::string();
    };
    app.add_option(name, path, help)->check(check)->type_name("FILE");
  };
  add_file("--tls-cert", values.tls.certificate,
           "Encrypt (but on unix:PATH): the server's certificate in PEM, with those between it and its authority");
  add_file("--tls-key", values.tls.key, "Its private key in PEM. Certificates are read again when they change");
  add_file("--tls-client-ca", values.tls.client_ca,
           "Certificates in PEM of the authorities that vouch for clients, who must then show one of theirs");
  app.add_flag("--insecure", values.config.server.insecure,
               "Listen without encryption also where other machines reach it, where there is no --tls-cert");
  add_file(
      "--tokens", values.config.server.tokens,
      "Every call needs a token of this file: NAME:SHA256HEX on each line (see spikectl token). Read again when it "
      "changes. Health checks and reflection need none");
}

absl::Status TakeTls(Values& values) {
  const rpc::TlsFiles& tls = values.tls;
  if (tls.certificate.empty() != tls.key.empty()) {
    return tls.key.empty() ? InvalidField("--tls-key", "absent", "the key of --tls-cert")
                           : InvalidField("--tls-cert", "absent", "the certificate of --tls-key");
  }
  if (!tls.client_ca.empty() && tls.certificate.empty()) {
    return InvalidField("--tls-client-ca", "no --tls-cert", "the server's own certificate, too");
  }
  if (!tls.certificate.empty()) values.config.server.tls = tls;
  return absl::OkStatus();
}

void AddComputing(CLI::App& app, Values& values) {
  AddNumber(app, "--threads", values.config.server.engine.threads, "Threads that compute; 0: one for each processor", 0,
            1024);
}

// No caller of several takes all networks there may be, unless that is said.
void ShareNetworks(const CLI::App& app, ServerConfig& config) {
  if (!config.CallersDiffer()) return;
  server::Limits& limits = config.server.engine.limits;
  if (app.count(kNetworksPerIdentity) == 0) {
    limits.max_networks_per_identity = std::max<int64_t>(1, limits.max_networks / 2);
  }
  if (app.count(kNetworkBytesPerIdentity) == 0) {
    limits.max_network_bytes_per_identity = std::max<int64_t>(1, limits.max_network_bytes / 2);
  }
}

void AddLimits(CLI::App& app, Values& values) {
  server::Limits& limits = values.config.server.engine.limits;
  // gRPC and Protobuf count the bytes of a message in 31 bits.
  AddLimit(app, "--max-message-bytes", limits.max_message_bytes, "Bytes of one request or response", 0x7fffffff);
  AddLimit(app, "--max-decoded-bytes", limits.max_decoded_bytes,
           "Bytes of one tensor after decoding, and of a parsed message but for the data of its tensors");
  AddLimit(app, "--max-pairs", limits.max_pairs, "Pairs of samples of one SpikeSimilarLoss or similarity loss");
  limits.max_bytes_in_flight = int64_t{4} << 30;
  AddLimit(app, "--max-bytes-in-flight", limits.max_bytes_in_flight,
           "Bytes of messages and tensors of all calls together, results until they are sent included");
  limits.max_queue_delay = absl::Milliseconds(100);
  AddSeconds(
      app, "--max-queue-delay", limits.max_queue_delay,
      "About how long a call may have to wait until it is computed; as many calls as there are threads always may",
      Zero::kAllowed);
  limits.max_compute_time = absl::Minutes(10);
  AddSeconds(app, "--max-compute-time", limits.max_compute_time, "Time that one call computes");
  AddLimit(app, "--max-streams-per-connection", values.config.server.connections.max_streams,
           "Calls of one connection at the same time", 0x7fffffff);
  AddLimit(app, "--max-calls", limits.max_calls, "Calls that wait or compute at the same time");
  AddLimit(app, "--max-idle-buffer-bytes", limits.max_idle_buffer_bytes,
           "Bytes of buffers kept for the next call; each heap keeps as much freed memory");
  AddLimit(app, "--max-networks", limits.max_networks, "Networks held at the same time");
  AddLimit(app, "--max-network-bytes", limits.max_network_bytes, "Bytes of all networks together");
  AddNumber(app, kNetworksPerIdentity, limits.max_networks_per_identity,
            "Networks of one caller, where --tokens or --tls-client-ca tell callers apart (half: of --max-networks; 0: "
            "all)",
            0, int64_t{1} << 40);
  app.get_option(kNetworksPerIdentity)->default_str("half");
  AddNumber(app, kNetworkBytesPerIdentity, limits.max_network_bytes_per_identity,
            "Bytes of one caller's networks (half: of --max-network-bytes; 0: all)", 0, int64_t{1} << 40);
  app.get_option(kNetworkBytesPerIdentity)->default_str("half");
  AddLimit(app, "--max-trace-bytes", limits.max_trace_bytes,
           "Bytes that one network keeps for going back through its steps");
  AddLimit(app, "--max-shared-memory-bytes", values.shared_memory.max_bytes,
           "Bytes of memory that one user's clients share");
  AddSeconds(app, "--network-idle-timeout", limits.network_idle_timeout,
             "Time after which a network without calls expires");
}

void AddLifeCycle(CLI::App& app, Values& values) {
  AddSeconds(app, "--keepalive-time", values.config.server.connections.keepalive_time,
             "Time without a word after which a connection is pinged");
  AddSeconds(app, "--keepalive-timeout", values.config.server.connections.keepalive_timeout,
             "Time for the answer, after which the connection is closed");
  AddSeconds(
      app, "--untaken-answer-timeout", values.config.server.connections.untaken_answer_timeout,
      "Time, and one second for each 10 MB, after which an answer that its client has not taken is given up when "
      "others need its memory");
  AddSeconds(
      app, "--max-connection-age", values.config.server.connections.max_age,
      "Time after which a connection is closed gently, so that clients spread over servers; its calls go on for as "
      "long as one may take");
  AddSeconds(app, "--drain-delay", values.config.drain_delay,
             "Time to go on serving after SIGTERM or SIGINT, while health checks say NOT_SERVING", Zero::kAllowed);
  AddSeconds(app, "--drain-timeout", values.config.drain_timeout, "Time that accepted calls get to finish then");
}

void AddState(CLI::App& app, Values& values) {
  app.add_option("--state-dir", values.config.state_dir,
                 "Keep the networks in this directory, and go on with those that are there; made if it is not there")
      ->type_name("DIR");
  AddSeconds(app, "--state-interval", values.config.state_interval,
             "Time between two writes of the networks that changed; they are also written after the drain");
}

void AddObserving(CLI::App& app, Values& values) {
  using telemetry::LogFormat;
  using telemetry::LogLevel;
  telemetry::TelemetryOptions& options = values.config.telemetry;
  app.add_option("--metrics-listen", options.metrics_listen,
                 "HOST:PORT (port 0: a free one) to serve Prometheus metrics on, at /metrics")
      ->type_name("ADDRESS");
  app.add_flag("--insecure-metrics", options.insecure,
               "Serve metrics, which are not encrypted, also where other machines reach them");
  AddWord<LogFormat, 2>(app, "--log-format", options.log.format, "Of the lines on stderr",
                        {{{"json", LogFormat::kJson}, {"text", LogFormat::kText}}})
      ->default_str("text on a terminal, else json");
  AddWord<LogLevel, 5>(app, "--log-level", options.log.level, "Lines of a lower level are left out",
                       {{{"debug", LogLevel::kDebug},
                         {"info", LogLevel::kInfo},
                         {"warning", LogLevel::kWarning},
                         {"error", LogLevel::kError},
                         {"off", LogLevel::kOff}}})
      ->default_str("info");
  AddSeconds(app, "--log-slow-call", options.slow_call,
             "Calls that keep the server for as long are logged at level info", Zero::kAllowed);
}

void AddConfiguration(CLI::App& app, Values& values) {
  app.add_option(kFlagFile, values.flag_file, "A file with a flag on each line, for those that are not given otherwise")
      ->type_name("FILE");
  app.add_flag("--check-config", values.check_config, "Check the configuration, and end");
}

// A call that may take its time does so also where its connection grows old meanwhile; one on a network waits twice.
absl::Duration GraceOfOldConnections(const ServerConfig& config) {
  const server::Limits& limits = config.server.engine.limits;
  return std::max(config.drain_timeout, 2 * limits.max_queue_delay + limits.max_compute_time);
}

// What CLI11 finds wrong, in one line that tells where it is.
absl::Status Explain(const CLI::ParseError& error, const Arguments& arguments) {
  std::string what = absl::StrReplaceAll(std::string(absl::StripAsciiWhitespace(error.what())), {{"\n", " "}});
  for (const auto& [flag, source] : arguments.sources) {
    if (what.compare(0, flag.size() + 1, flag + ":") == 0) absl::StrAppend(&what, " (from ", source, ")");
  }
  return absl::InvalidArgumentError(absl::StrCat(what, "; --help lists the flags"));
}

// However they are spelt: a second listener on a Unix socket would take it away from the first. A port of 0 is a free
// one each time.
absl::Status CheckAddressesDiffer(const ServerConfig& config) {
  std::vector<std::string> seen;
  const auto add = [&](const char* flag, const std::string& address) {
    const std::string spelt = rpc::OneSpelling(address);
    if (!rpc::IsUnixSocket(address) && absl::EndsWith(spelt, ":0")) return absl::OkStatus();
    if (std::find(seen.begin(), seen.end(), spelt) != seen.end()) {
      return InvalidField(flag, absl::StrCat(address, " twice"), "each address once, in --listen or --metrics-listen");
    }
    seen.push_back(spelt);
    return absl::OkStatus();
  };
  for (const std::string& address : config.server.listen) SPIKESERVE_RETURN_IF_ERROR(add("--listen", address));
  const std::string& metrics = config.telemetry.metrics_listen;
  return metrics.empty() ? absl::OkStatus() : add("--metrics-listen", metrics);
}

std::vector<std::string> Warnings(const ServerConfig& config, const Arguments& arguments) {
  std::vector<std::string> warnings;
  for (const std::string& variable : arguments.unknown_variables) {
    if (variable == "SPIKESERVE_SERVER") continue;  // It is spikectl's, which may share the environment.
    warnings.push_back(absl::StrCat("the environment variable ", variable, " is no flag's; --help lists the flags"));
  }
  const std::vector<std::string>& listen = config.server.listen;
  const bool is_local = std::all_of(listen.begin(), listen.end(), [](auto& address) { return rpc::IsLocal(address); });
  if (!config.server.tls && !config.server.tokens.empty() && !is_local) {
    warnings.push_back(
        "--tokens without --tls-cert: whoever is on the way between a client and this server can read and use tokens");
  }
  const server::Limits& limits = config.server.engine.limits;
  if (!config.CallersDiffer() && (limits.max_networks_per_identity > 0 || limits.max_network_bytes_per_identity > 0)) {
    warnings.push_back("limits per identity without --tokens or --tls-client-ca: all callers are one identity");
  }
  if (limits.max_bytes_in_flight < limits.max_message_bytes) {
    warnings.push_back(absl::StrCat("--max-bytes-in-flight=", limits.max_bytes_in_flight,
                                    " is less than --max-message-bytes=", limits.max_message_bytes,
                                    ": larger messages than the former are always refused"));
  }
  return warnings;
}

}  // namespace

absl::StatusOr<CommandLine> ParseCommandLine(int argc, const char* const* argv) {
  CLI::App app(absl::StrCat(kProgram,
                            ": a gRPC service that computes on spike trains\nEach flag may also be given as the "
                            "environment variable of its name, such as SPIKESERVE_MAX_CALLS for --max-calls."),
               "spikeserve");
  app.set_version_flag("--version", kProgram);
  Values values;
  values.config.telemetry.log.format =
      isatty(STDERR_FILENO) == 1 ? telemetry::LogFormat::kText : telemetry::LogFormat::kJson;
  std::vector<Flag> flags;
  const auto add = [&](const char* group, void (*add_flags)(CLI::App&, Values&)) {
    const size_t before = app.get_options().size();
    add_flags(app, values);
    for (size_t i = before; i < app.get_options().size(); ++i) {
      CLI::Option* const option = app.get_options()[i];
      option->group(group);
      flags.push_back({option->get_name(), /*takes_value=*/option->get_items_expected_min() > 0,
                       /*repeatable=*/option->get_items_expected_max() > 1});
    }
  };
  add("Listening", AddListening);
  add("Security", AddSecurity);
  add("Computing", AddComputing);
  add("Limits", AddLimits);
  add("Life cycle", AddLifeCycle);
  add("State", AddState);
  add("Observing", AddObserving);
  add("Configuration", AddConfiguration);
  SPIKESERVE_ASSIGN_OR_RETURN(Arguments arguments, AddSources({argv + 1, argv + argc}, flags));
  try {
    // CLI11 takes them in reverse order.
    app.parse(std::vector<std::string>(arguments.arguments.rbegin(), arguments.arguments.rend()));
  } catch (const CLI::Success& success) {
    app.exit(success);
    return Printed();
  } catch (const CLI::ParseError& error) {
    return Explain(error, arguments);
  }
  values.config.server.connections.max_age_grace = GraceOfOldConnections(values.config);
  ShareNetworks(app, values.config);
  if (values.share_memory) values.config.server.shared_memory = values.shared_memory;
  SPIKESERVE_RETURN_IF_ERROR(TakeTls(values));
  SPIKESERVE_RETURN_IF_ERROR(rpc::Server::Check(values.config.server));
  if (const std::string& address = values.config.telemetry.metrics_listen; !address.empty()) {
    SPIKESERVE_RETURN_IF_ERROR(telemetry::MetricsListener::Check(address));
    if (!values.config.telemetry.insecure && !rpc::IsLocal(address)) {
      return InvalidField("--metrics-listen", absl::StrCat(address, ", and metrics are not encrypted"),
                          "a loopback address, or --insecure-metrics if it is meant");
    }
  }
  SPIKESERVE_RETURN_IF_ERROR(CheckAddressesDiffer(values.config));
  values.config.warnings = Warnings(values.config, arguments);
  if (values.check_config) {
    const std::string& state = values.config.state_dir;
    const absl::Status usable = state.empty() ? absl::OkStatus() : state::CheckDirectory(state);
    if (!usable.ok()) return absl::InvalidArgumentError(absl::StrCat("--state-dir: ", usable.message()));
    return Checked{values.config.warnings};
  }
  return std::move(values.config);
}

}  // namespace spikeserve::config

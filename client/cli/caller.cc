#include "cli/caller.h"

#include <unistd.h>

#include <cstdlib>
#include <iostream>
#include <string_view>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"

namespace spikeserve::cli {
namespace {

constexpr char kUsage[] = "spikectl/usage";

}  // namespace

bool StderrIsTerminal() {
  const char* terminal = std::getenv("TERM");
  return isatty(STDERR_FILENO) == 1 && terminal != nullptr && std::string_view(terminal) != "dumb";
}

absl::Status UsageError(const std::string& message) {
  absl::Status status = absl::InvalidArgumentError(message);
  status.SetPayload(kUsage, absl::Cord());
  return status;
}

bool IsUsageError(const absl::Status& status) { return status.GetPayload(kUsage).has_value(); }

absl::Status ServiceError(const absl::Status& status) {
  return absl::Status(status.code(), absl::StrCat(absl::StatusCodeToString(status.code()), ": ", status.message()));
}

absl::StatusOr<Client> Caller::Connect() const {
  absl::StatusOr<Client> client = server_.empty() ? Client::InProcess() : Client::Connect(server_, options_);
  if (!client.ok()) return ServiceError(client.status());
  return client;
}

void Caller::ShowProgress(absl::FunctionRef<bool(std::chrono::milliseconds)> done) const {
  constexpr std::string_view kSpinner = "|/-\\";
  if (!StderrIsTerminal()) return;
  const absl::Time start = absl::Now();
  if (done(std::chrono::milliseconds(300))) return;
  size_t turn = 0;
  do {
    std::cerr << absl::StreamFormat("\r%c %s on %s  %.1f s ", kSpinner[turn++ % kSpinner.size()], label_,
                                    server_.empty() ? "this machine" : server_,
                                    absl::ToDoubleSeconds(absl::Now() - start))
              << std::flush;
  } while (!done(std::chrono::milliseconds(100)));
  std::cerr << "\r\033[K" << std::flush;
}

}  // namespace spikeserve::cli

// How commands call the service: on a server or in this process, with progress on a terminal.

#ifndef SPIKESERVE_CLI_CALLER_H_
#define SPIKESERVE_CLI_CALLER_H_

#include <chrono>
#include <future>
#include <string>
#include <type_traits>
#include <utility>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "spikeserve/client/client.h"

namespace spikeserve::cli {

// A mistake in the command line, which the program's exit code tells from other errors.
absl::Status UsageError(const std::string& message);
bool IsUsageError(const absl::Status& status);

// An error of the service: its message gets the name of its code in front.
absl::Status ServiceError(const absl::Status& status);

// Whether lines on stderr can be rewritten as time passes.
bool StderrIsTerminal();

class Caller {
 public:
  // `server`: empty to compute in this process. `label` is what progress is shown of.
  Caller(std::string server, ConnectOptions options, absl::Duration timeout, std::string label)
      : server_(std::move(server)), options_(std::move(options)), timeout_(timeout), label_(std::move(label)) {}

  const std::string& server() const { return server_; }
  // How to connect to it.
  const ConnectOptions& options() const { return options_; }
  absl::Duration timeout() const { return timeout_; }

  CallOptions call_options() const { return {.timeout = timeout_}; }

  // A client of the server, or of this process. Errors are ServiceErrors, also below.
  absl::StatusOr<Client> Connect() const;

  // Makes a call.
  template <typename Args>
  Client::ResultOr<Args> Call(const Args& args) const {
    return Do([&](const Client& client) { return client.Call(args, call_options()); });
  }

  // Makes calls: `work` gets a client, and returns an absl::StatusOr.
  template <typename Work>
  auto Do(const Work& work) const -> decltype(work(std::declval<const Client&>())) {
    const absl::StatusOr<Client> client = Connect();
    if (!client.ok()) return client.status();
    // A call that waits, in a thread of its own: only such calls are sent in pieces, and their arguments not copied.
    auto future = std::async(std::launch::async, [&] { return work(*client); });
    ShowProgress([&](std::chrono::milliseconds wait) { return future.wait_for(wait) == std::future_status::ready; });
    auto result = future.get();
    if (!result.ok()) return ServiceError(result.status());
    return result;
  }

 private:
  // Where stderr is a terminal: waits until `done`, and where that takes long shows that time passes.
  void ShowProgress(absl::FunctionRef<bool(std::chrono::milliseconds)> done) const;

  std::string server_;
  ConnectOptions options_;
  absl::Duration timeout_;
  std::string label_;
};

}  // namespace spikeserve::cli

#endif  // SPIKESERVE_CLI_CALLER_H_

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "cli/commands/commands.h"
#include "cli/screen.h"
#include "cli/top_view.h"
#include "printable.h"
#include "status_macros.h"

namespace spikeserve::cli {
namespace {

constexpr absl::Duration kInterval = absl::Seconds(1);

class TopCommand final : public Command {
 public:
  void AddOptions(CLI::App& app) override {
    app.add_flag("--once", once_, "Print what happens in one second, and end; so does it where there is no terminal");
  }

  absl::StatusOr<Report> Run(const Caller& caller) override {
    SPIKESERVE_ASSIGN_OR_RETURN(const Client client, caller.Connect());
    CallOptions options = caller.call_options();
    // A server that does not answer is to be seen.
    options.timeout = std::min(options.timeout, absl::Seconds(5));
    const auto look = [&] { return client.ServerStatistics(options); };
    absl::StatusOr<ServerStatisticsResult> before = look();
    if (!before.ok()) return ServiceError(before.status());
    if (!once_ && Screen::Available()) return Watch(*std::move(before), caller.server(), look);

    absl::SleepFor(kInterval);
    const absl::StatusOr<ServerStatisticsResult> after = look();
    if (!after.ok()) return ServiceError(after.status());
    const TopView view = Compare(*before, *after);
    constexpr size_t kColumns = 80, kAllRows = 1000;
    Report report;
    report.AddText("top", TopJson(view), absl::StrJoin(TopLines(view, caller.server(), kColumns, kAllRows), "\n"));
    return report;
  }

 private:
  // Until the user ends it.
  template <typename Look>
  static Report Watch(ServerStatisticsResult before, const std::string& server, const Look& look) {
    Screen screen;
    absl::Time next = absl::Now();
    std::vector<std::string> lines = {Printable(absl::StrCat("spikeserve at ", server))};
    screen.Show(lines);
    while (screen.WaitUntil(next += kInterval)) {
      const absl::StatusOr<ServerStatisticsResult> after = look();
      const Screen::Size size = screen.size();
      if (after.ok()) {
        lines = TopLines(Compare(before, *after), server, size.columns, size.rows);
        before = *after;
      } else {
        // What was seen last stays below; the server may come back.
        const std::string error = Printable(std::string(ServiceError(after.status()).message()));
        lines[0] = CutLine(absl::StrCat("NO ANSWER: ", error), size.columns);
      }
      screen.Show(lines);
      next = std::max(next, absl::Now() - kInterval);
    }
    return Report();
  }

  bool once_ = false;
};

}  // namespace

CommandInfo Top() {
  return Describe<TopCommand>(kServer, "top", "Watch what a server does, second by second; q ends it",
                              "spikectl top --server 127.0.0.1:50051\n"
                              "  spikectl top --once --json --server unix:/run/spikeserve.sock",
                              Where::kServer, /*has_arrays=*/false);
}

}  // namespace spikeserve::cli

#include <future>
#include <iostream>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "cli/commands/commands.h"
#include "cli/flags.h"
#include "cli/load_calls.h"
#include "load/load_generator.h"
#include "printable.h"
#include "status_macros.h"

namespace spikeserve::cli {
namespace {

using load::LatencyHistogram;
using load::LoadResult;

double Milliseconds(absl::Duration duration) { return absl::ToDoubleMilliseconds(duration); }

double CallsPerSecond(const LoadResult& result) {
  const double seconds = absl::ToDoubleSeconds(result.elapsed);
  return seconds > 0 ? static_cast<double>(result.calls()) / seconds : 0;
}

int64_t Failed(const LoadResult& result) { return result.calls() - result.latency.count(); }

struct Percentile {
  const char* name;
  double percent;
};
constexpr Percentile kPercentiles[] = {{"p50", 50}, {"p90", 90}, {"p99", 99}, {"p99.9", 99.9}};

void AddLatency(const LatencyHistogram& latency, Report& report) {
  Json json = {{"min", Milliseconds(latency.min())}, {"mean", Milliseconds(latency.mean())}};
  std::string text = absl::StrFormat("latency           mean %.3f ms", Milliseconds(latency.mean()));
  for (const auto& [name, percent] : kPercentiles) {
    const double value = Milliseconds(latency.Percentile(percent));
    json[name] = value;
    absl::StrAppendFormat(&text, "  %s %.3f ms", name, value);
  }
  json["max"] = Milliseconds(latency.max());
  absl::StrAppendFormat(&text, "  max %.3f ms", Milliseconds(latency.max()));
  report.AddText("latency_ms", std::move(json), std::move(text));
}

void AddHistogram(const LatencyHistogram& latency, Report& report) {
  constexpr int64_t kBarWidth = 50;
  Json json = Json::array();
  std::vector<std::string> lines;
  for (const LatencyHistogram::Range& range : latency.Octaves()) {
    json.push_back(
        {{"begin_ms", Milliseconds(range.begin)}, {"end_ms", Milliseconds(range.end)}, {"count", range.count}});
    const int64_t bar = (range.count * kBarWidth + latency.count() - 1) / latency.count();
    lines.push_back(absl::StrFormat("%10.3f to %10.3f ms  %-*s %d", Milliseconds(range.begin), Milliseconds(range.end),
                                    kBarWidth, std::string(bar, '#'), range.count));
  }
  report.AddText("histogram", std::move(json), absl::StrJoin(lines, "\n"));
}

class LoadCommand final : public Command {
 public:
  void AddOptions(CLI::App& app) override {
    std::vector<std::pair<std::string, MakeLoadCall>> methods = LoadCalls();
    AddChoice<MakeLoadCall>(app, "--method", method_, methods, "The function that is called")
        ->required()
        ->each([this](const std::string& word) { method_name_ = word; });
    app.add_option("--size", size_.bytes,
                   "Bytes of voltages, spikes or labels that a call carries, such as 4KB or 32MB")
        ->type_name("BYTES")
        ->transform(CLI::AsSizeValue(/*kb_is_1000=*/false).description(""))
        ->check(CLI::Range(int64_t{1}, int64_t{1} << 31).description(""))
        ->default_str("4KB");
    app.add_option("--samples", size_.samples,
                   "Spike trains that a call compares: of kernel-dot-product, -vjp and spike-similar-loss.\n"
                   "The more, the longer it computes for the same bytes")
        ->type_name("INT")
        ->check(CLI::Range(int64_t{1}, int64_t{1} << 14).description(""))
        ->capture_default_str();
    app.add_option("--concurrency", options_.concurrency, "Calls under way at the same time, at most")
        ->type_name("INT")
        ->check(CLI::Range(1, 100'000).description(""))
        ->capture_default_str();
    app.add_option("--rate", options_.rate,
                   "Calls a second, begun at a fixed pace; latencies count from when a call is due\n"
                   "(default: each of the callers begins a call when its last one has ended)")
        ->type_name("NUMBER")
        ->check(CLI::Range(1e-3, 1e7).description(""));
    app.add_option_function<std::string>(
           "--duration",
           [this](const std::string& text) {
             if (absl::ParseDuration(text, &options_.duration) && options_.duration > absl::ZeroDuration() &&
                 options_.duration <= absl::Hours(24 * 365)) {
               return;
             }
             throw CLI::ValidationError("--duration", absl::StrCat("got ", text, "; need a time such as 10s or 500ms"));
           },
           "No call begins later than this")
        ->type_name("TIME")
        ->default_str("10s");
    app.add_option("--calls", options_.max_calls, "No more calls than this (default: as many as there is time for)")
        ->type_name("INT")
        ->check(CLI::Range(int64_t{1}, std::numeric_limits<int64_t>::max()).description(""));
  }

  absl::StatusOr<Report> Run(const Caller& caller) override {
    const LoadCall call = method_(size_);
    const CallOptions call_options = caller.call_options();
    // Retries would hide errors.
    ConnectOptions options = caller.options();
    options.retry.max_attempts = 1;
    const absl::StatusOr<Client> client =
        caller.server().empty() ? Client::InProcess() : Client::Connect(caller.server(), options);
    if (!client.ok()) return ServiceError(client.status());

    // A call before the load connects, and finds what would fail each time.
    std::promise<absl::Status> first;
    call.start(*client, call_options, [&](const absl::Status& status) { first.set_value(status); });
    if (const absl::Status status = first.get_future().get(); !status.ok()) return ServiceError(status);

    const bool live = StderrIsTerminal();
    const LoadResult result = load::RunLoad(
        options_,
        [client = *client, call, call_options](std::function<void(absl::Status)> done) {
          call.start(client, call_options, std::move(done));
        },
        [&](const LoadResult& so_far) {
          if (live) ShowLine(so_far);
        });
    if (live) std::cerr << "\r\033[K" << std::flush;
    if (result.latency.count() == 0 && !result.errors.empty()) {
      const auto& [code, errors] = *result.errors.begin();
      return ServiceError(
          absl::Status(code, absl::StrCat("all of ", result.calls(), " calls failed, the first so: ", errors.message)));
    }
    return Describe(call, result);
  }

 private:
  void ShowLine(const LoadResult& so_far) const {
    std::cerr << absl::StreamFormat("\r%s  %.1f s of %s  %.0f calls/s  p50 %.3f ms  p99 %.3f ms  %d errors\033[K",
                                    method_name_, absl::ToDoubleSeconds(so_far.elapsed),
                                    absl::FormatDuration(options_.duration), CallsPerSecond(so_far),
                                    Milliseconds(so_far.latency.Percentile(50)),
                                    Milliseconds(so_far.latency.Percentile(99)), Failed(so_far))
              << std::flush;
  }

  Report Describe(const LoadCall& call, const LoadResult& result) const {
    Report report;
    report.AddValue("method", method_name_);
    report.AddValue("operand", absl::StrCat(std::string(DataTypeName(call.dtype)), " ", ShapeString(call.shape), ", ",
                                            call.operand_bytes, " bytes"));
    report.AddValue("concurrency", options_.concurrency);
    if (options_.rate) report.AddValue("rate", *options_.rate);
    report.AddValue("seconds", absl::ToDoubleSeconds(result.elapsed));
    report.AddValue("calls", result.calls());
    report.AddValue("calls_per_second", CallsPerSecond(result));
    if (Failed(result) > 0) {
      report.AddValue("answers_per_second",
                      static_cast<double>(result.latency.count()) / absl::ToDoubleSeconds(result.elapsed));
    }
    if (options_.rate) report.AddValue("unsent", result.unsent);
    AddErrors(result, report);
    if (result.latency.count() > 0) {
      AddLatency(result.latency, report);
      AddHistogram(result.latency, report);
    }
    return report;
  }

  static void AddErrors(const LoadResult& result, Report& report) {
    Json json = Json::object();
    std::string text = absl::StrCat("errors            ", Failed(result));
    for (const auto& [code, errors] : result.errors) {
      const std::string name = absl::StatusCodeToString(code);
      json[name] = {{"count", errors.count}, {"first", errors.message}};
      absl::StrAppend(&text, "\n  ", errors.count, " ", name, ", the first: ", Printable(errors.message));
    }
    report.AddText("errors", std::move(json), std::move(text));
  }

  MakeLoadCall method_ = nullptr;
  std::string method_name_;
  LoadSize size_;
  load::LoadOptions options_ = {.concurrency = 32};
};

}  // namespace

CommandInfo Load() {
  return Describe<LoadCommand>(
      kServer, "load", "Make many calls and measure how long they take",
      "spikectl load --method spike-cluster --size 4KB --concurrency 32 --duration 10s \\\n"
      "    --server 127.0.0.1:50051\n"
      "  spikectl load --method first-spike-index --rate 2000 --json --server unix:/run/spikeserve.sock",
      Where::kAnywhere, /*has_arrays=*/false);
}

}  // namespace spikeserve::cli

#include "cli/top_view.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_format.h"
#include "printable.h"

namespace spikeserve::cli {
namespace {

const MethodStatistics* Find(const ServerStatisticsResult& statistics, const std::string& name) {
  for (const MethodStatistics& method : statistics.methods) {
    if (method.method == name) return &method;
  }
  return nullptr;
}

// In four characters and a unit, such as "12.3 ms".
std::string Time(absl::Duration time) {
  if (time == absl::ZeroDuration()) return "-";
  const double microseconds = absl::ToDoubleMicroseconds(time);
  if (microseconds < 1e3) return absl::StrFormat("%.3g us", microseconds);
  if (microseconds < 1e6) return absl::StrFormat("%.3g ms", microseconds / 1e3);
  return absl::StrFormat("%.3g s", microseconds / 1e6);
}

std::string Bytes(double bytes) {
  constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  size_t unit = 0;
  for (; bytes >= 1000 && unit + 1 < std::size(kUnits); ++unit) bytes /= 1024;
  return absl::StrFormat(unit == 0 ? "%.0f %s" : "%.1f %s", bytes, kUnits[unit]);
}

std::string Rate(double rate) { return absl::StrFormat(rate < 100 ? "%.1f" : "%.0f", rate); }

std::string Uptime(absl::Duration uptime) {
  const int64_t minutes = absl::ToInt64Minutes(uptime);
  if (minutes < 1) return absl::StrFormat("%d s", absl::ToInt64Seconds(uptime));
  if (minutes < 60) return absl::StrFormat("%d min", minutes);
  if (minutes < 24 * 60) return absl::StrFormat("%d h %d min", minutes / 60, minutes % 60);
  return absl::StrFormat("%d d %d h", minutes / 60 / 24, minutes / 60 % 24);
}

}  // namespace

TopView Compare(const ServerStatisticsResult& before, const ServerStatisticsResult& after) {
  // Counts that begin anew are compared with none.
  static const ServerStatisticsResult& none = *new ServerStatisticsResult{};
  const bool same = after.uptime >= before.uptime;
  const ServerStatisticsResult& base = same ? before : none;
  const double seconds = std::max(absl::ToDoubleSeconds(same ? after.uptime - before.uptime : after.uptime), 1e-3);

  TopView view;
  view.version = after.version;
  view.uptime = after.uptime;
  view.threads = after.threads;
  view.refused_per_second = static_cast<double>(after.calls_refused - base.calls_refused) / seconds;
  view.calls_in_progress = after.calls_in_progress;
  view.streams = after.streams;
  view.tasks_waiting = after.tasks_waiting;
  view.networks = after.networks;
  view.network_bytes = after.network_bytes;
  view.resident_bytes = after.resident_bytes;
  view.buffer_bytes_in_use = after.buffer_bytes_in_use;
  view.buffer_idle_bytes = after.buffer_idle_bytes;
  for (const MethodStatistics& now : after.methods) {
    const MethodStatistics* earlier = Find(base, now.method);
    const MethodStatistics then = earlier == nullptr ? MethodStatistics() : *earlier;
    const int64_t calls = now.calls() - then.calls();
    if (calls <= 0) continue;
    TopMethod method;
    method.name = now.method;
    method.calls_per_second = static_cast<double>(calls) / seconds;
    method.failed_per_second = static_cast<double>(now.failed() - then.failed()) / seconds;
    const TimeStatistics queue = now.queue.Since(then.queue), compute = now.compute.Since(then.compute);
    method.queue_p50 = queue.Quantile(0.5, after.bounds);
    method.queue_p99 = queue.Quantile(0.99, after.bounds);
    method.compute_p50 = compute.Quantile(0.5, after.bounds);
    method.compute_p99 = compute.Quantile(0.99, after.bounds);
    view.calls_per_second += method.calls_per_second;
    view.failed_per_second += method.failed_per_second;
    view.request_bytes_per_second += static_cast<double>(now.request_bytes - then.request_bytes) / seconds;
    view.methods.push_back(std::move(method));
  }
  std::stable_sort(view.methods.begin(), view.methods.end(),
                   [](const TopMethod& a, const TopMethod& b) { return a.calls_per_second > b.calls_per_second; });
  return view;
}

std::vector<std::string> TopLines(const TopView& view, const std::string& server, size_t columns, size_t rows) {
  std::vector<std::string> lines;
  lines.push_back(absl::StrFormat("spikeserve %s at %s, up %s, %d threads", view.version, server, Uptime(view.uptime),
                                  view.threads));
  lines.push_back(absl::StrFormat("calls/s %-9s failed/s %-8s refused/s %-8s in %s/s", Rate(view.calls_per_second),
                                  Rate(view.failed_per_second), Rate(view.refused_per_second),
                                  Bytes(view.request_bytes_per_second)));
  lines.push_back(absl::StrFormat("in flight %-7d streams %-9d waiting tasks %d", view.calls_in_progress, view.streams,
                                  view.tasks_waiting));
  lines.push_back(absl::StrFormat("memory %-10s networks %d (%s)  buffers %s, %s idle", Bytes(view.resident_bytes),
                                  view.networks, Bytes(view.network_bytes), Bytes(view.buffer_bytes_in_use),
                                  Bytes(view.buffer_idle_bytes)));
  lines.emplace_back();
  constexpr char kRow[] = "%-22s %8s %8s %9s %9s %9s %9s";
  lines.push_back(absl::StrFormat(kRow, "METHOD", "CALLS/S", "FAILED/S", "QUEUE p50", "p99", "COMP. p50", "p99"));
  for (const TopMethod& m : view.methods) {
    lines.push_back(absl::StrFormat(kRow, m.name, Rate(m.calls_per_second), Rate(m.failed_per_second),
                                    Time(m.queue_p50), Time(m.queue_p99), Time(m.compute_p50), Time(m.compute_p99)));
  }
  if (view.methods.empty()) lines.push_back("no calls ended");
  if (lines.size() > rows) lines.resize(rows);
  for (std::string& line : lines) line = CutLine(Printable(line), columns);
  return lines;
}

Json TopJson(const TopView& view) {
  const auto milliseconds = [](absl::Duration time) { return absl::ToDoubleMilliseconds(time); };
  Json methods = Json::array();
  for (const TopMethod& m : view.methods) {
    methods.push_back({{"method", m.name},
                       {"calls_per_second", m.calls_per_second},
                       {"failed_per_second", m.failed_per_second},
                       {"queue_p50_ms", milliseconds(m.queue_p50)},
                       {"queue_p99_ms", milliseconds(m.queue_p99)},
                       {"compute_p50_ms", milliseconds(m.compute_p50)},
                       {"compute_p99_ms", milliseconds(m.compute_p99)}});
  }
  return {{"calls_per_second", view.calls_per_second},
          {"failed_per_second", view.failed_per_second},
          {"refused_per_second", view.refused_per_second},
          {"request_bytes_per_second", view.request_bytes_per_second},
          {"calls_in_progress", view.calls_in_progress},
          {"streams", view.streams},
          {"tasks_waiting", view.tasks_waiting},
          {"networks", view.networks},
          {"network_bytes", view.network_bytes},
          {"resident_bytes", view.resident_bytes},
          {"buffer_bytes_in_use", view.buffer_bytes_in_use},
          {"buffer_idle_bytes", view.buffer_idle_bytes},
          {"methods", std::move(methods)}};
}

}  // namespace spikeserve::cli

#include "telemetry/process_metrics.h"

#include <sys/resource.h>
#include <unistd.h>

#include <ctime>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <sstream>
#include <string>
#include <system_error>

#include "runtime/statistics.h"
#include "telemetry/families.h"

namespace spikeserve::telemetry {
namespace {

double Seconds(clockid_t clock) {
  timespec time{};
  clock_gettime(clock, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
}

// Fields 20, 22 and 23 of /proc/self/stat (proc(5)).
struct Stat {
  int64_t threads, start_ticks_after_boot, virtual_bytes;
};

std::optional<Stat> ReadStat() {
  std::ifstream file("/proc/self/stat");
  const std::string line((std::istreambuf_iterator<char>(file)), {});
  // The name, the second field, may have any characters in it.
  const size_t name_end = line.rfind(')');
  if (name_end == std::string::npos) return std::nullopt;
  std::istringstream fields(line.substr(name_end + 1));
  std::string skipped;
  for (int i = 3; i < 20; ++i) fields >> skipped;
  Stat stat;
  fields >> stat.threads >> skipped >> stat.start_ticks_after_boot >> stat.virtual_bytes;
  return fields ? std::optional(stat) : std::nullopt;
}

// In seconds since 1970.
double StartTime(const Stat& stat) {
  const double boot = Seconds(CLOCK_REALTIME) - Seconds(CLOCK_BOOTTIME);
  return boot + static_cast<double>(stat.start_ticks_after_boot) / static_cast<double>(sysconf(_SC_CLK_TCK));
}

std::optional<int64_t> OpenFds() {
  std::error_code error;
  const std::filesystem::directory_iterator files("/proc/self/fd", error);
  if (error) return std::nullopt;
  return std::distance(begin(files), end(files)) - 1;  // Without the one that lists them.
}

}  // namespace

std::vector<prometheus::MetricFamily> ProcessFamilies() {
  std::vector<prometheus::MetricFamily> families;
  families.push_back(Counter("process_cpu_seconds_total", "CPU time of user and system, in seconds.",
                             Seconds(CLOCK_PROCESS_CPUTIME_ID)));
  if (const std::optional<Stat> stat = ReadStat()) {
    // Computed once: it would move as clocks are set.
    static const double start_time = StartTime(*stat);
    families.push_back(
        Gauge("process_start_time_seconds", "When the process started, in seconds since 1970.", start_time));
    families.push_back(
        Gauge("process_virtual_memory_bytes", "Bytes of the process's address space.", stat->virtual_bytes));
    families.push_back(Gauge("process_threads", "Threads of the process, all libraries' included.", stat->threads));
  }
  if (const int64_t bytes = server::ResidentBytes(); bytes > 0) {
    families.push_back(Gauge("process_resident_memory_bytes", "Bytes of memory that the process occupies.", bytes));
  }
  if (const std::optional<int64_t> files = OpenFds()) {
    families.push_back(Gauge("process_open_fds", "Open file descriptors.", *files));
  }
  if (rlimit limit; getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    families.push_back(Gauge("process_max_fds", "Open file descriptors that the process may have.",
                             static_cast<double>(limit.rlim_cur)));
  }
  return families;
}

}  // namespace spikeserve::telemetry

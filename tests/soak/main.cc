// Mixed load with faults for a long time: soak [--seconds=N] [--flag=FLAG of the server ...]
//
// Starts the server as a process of its own, and calls it from many threads, with TLS and tokens and without:
// functions, streams, networks that are run and trained, with peers beside them that send garbage, vanish, give up, are
// killed, or take no answers, while certificates and tokens are replaced, metrics are read, and networks are written to
// disk. Every answer is held against what the library computes in this process. At the end nothing may be left of the
// calls, and the memory and the descriptors that the server holds must not have grown.

#include <signal.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <iostream>
#include <iterator>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "soak/callers.h"
#include "soak/credential_files.h"
#include "soak/faults.h"
#include "soak/soak.h"
#include "support/server_process.h"
#include "support/test_folder.h"

namespace spikeserve::soak {
namespace {

using testing::ServerProcess;

// What the server holds.
struct Sample {
  int64_t bytes;
  int descriptors;
};

struct Range {
  double mean = 0;
  double most = 0;
};

// Of the memory in the samples from `begin` to `end`, parts of all.
Range MemoryIn(const std::vector<Sample>& samples, double begin, double end) {
  Range range;
  const size_t first = static_cast<size_t>(begin * samples.size()), last = static_cast<size_t>(end * samples.size());
  for (size_t i = first; i < last; ++i) {
    const auto bytes = static_cast<double>(samples[i].bytes);
    range.mean += bytes / static_cast<double>(last - first);
    range.most = std::max(range.most, bytes);
  }
  return range;
}

// Where the server's clients find it; empty where it ended.
std::optional<Ways> WaysTo(ServerProcess& server, const CredentialFiles& files) {
  const std::vector<std::string> addresses = server.WaitForAddresses(2);
  const std::optional<std::string> line = server.ReadLine();
  absl::string_view metrics = line ? absl::string_view(*line) : "";
  if (addresses.size() < 2 || !absl::ConsumePrefix(&metrics, "spikeserve metrics on ")) return std::nullopt;
  return Ways{.tls = addresses[0],
              .plain = addresses[1],
              .metrics = std::string(metrics),
              .ca = files.ca(),
              .token = files.token()};
}

// Looks at the server for so long, and says now and then how it goes.
std::vector<Sample> Watch(ServerProcess& server, Soak& soak, absl::Duration duration) {
  std::vector<Sample> samples;
  const absl::Time begin = absl::Now();
  const absl::Duration period = std::min(absl::Seconds(1), duration / 40);
  absl::Time next_line = begin;
  while (absl::Now() - begin < duration && server.Running()) {
    samples.push_back({server.ResidentBytes(), server.OpenFileDescriptors()});
    if (absl::Now() >= next_line) {
      int64_t calls = 0;
      for (const auto& [kind, count] : soak.calls()) calls += count;
      std::cout << absl::StreamFormat("%6.0f s  %9d calls  %d wrong  %5.0f MB  %d descriptors\n",
                                      absl::ToDoubleSeconds(absl::Now() - begin), calls, soak.wrong(),
                                      samples.back().bytes / 1e6, samples.back().descriptors)
                << std::flush;
      next_line += std::max(duration / 20, absl::Seconds(5));
    }
    absl::SleepFor(period);
  }
  return samples;
}

int64_t FailedByItsFault(const ServerStatisticsResult& statistics) {
  int64_t failed = 0;
  const auto by_code = statistics.failed_by_code();
  for (const auto code : {absl::StatusCode::kInternal, absl::StatusCode::kUnknown, absl::StatusCode::kDataLoss}) {
    if (const auto it = by_code.find(code); it != by_code.end()) failed += it->second;
  }
  return failed;
}

int Main(absl::Duration duration, const std::vector<std::string>& more_flags) {
  const testing::TestFolder folder;
  const std::string state = folder.Path("state");
  CredentialFiles files(folder.path());
  std::vector<std::string> flags = files.flags();
  // What killed clients leave behind is soon gone; but a caller that is refused a few times waits for 5 s each.
  for (const std::string& flag : {std::string("--listen=127.0.0.1:0"), "--listen=unix:" + folder.Path("socket"),
                                  std::string("--metrics-listen=127.0.0.1:0"), "--state-dir=" + state,
                                  std::string("--state-interval=1"), std::string("--network-idle-timeout=20")}) {
    flags.push_back(flag);
  }
  flags.insert(flags.end(), more_flags.begin(), more_flags.end());
  ServerProcess server(flags);
  const std::optional<Ways> ways = WaysTo(server, files);
  if (!ways) {
    std::cerr << "soak: the server did not start: " << server.Stderr();
    return 2;
  }
  Soak soak(*ways);
  const Client client = *Client::Connect(ways->plain, {.token = ways->token});
  if (const absl::Status status = client.ServerStatistics().status(); !status.ok()) {
    std::cerr << "soak: " << status << "\n" << server.Stderr();
    return 2;
  }
  const int idle_descriptors = server.OpenFileDescriptors();

  std::vector<std::thread> threads;
  const auto start = [&](auto work, auto... arguments) {
    threads.emplace_back([&soak, work, arguments...] { work(soak, arguments...); });
  };
  for (const uint32_t seed : {1, 2}) start(CallFunctions, seed);
  for (const uint32_t seed : {1, 2}) start(Train, seed);
  for (void (*work)(Soak&) :
       {CallInPieces, Step, Step, Reconnect, GiveUp, BreakRules, TakeNoAnswers, KillClients, Scrape}) {
    start(work);
  }
  start(ReplaceCredentials, std::ref(files));
  const std::vector<Sample> samples = Watch(server, soak, duration);
  soak.End();
  for (std::thread& thread : threads) thread.join();

  bool good = server.Running();
  const auto check = [&good](bool holds, const std::string& what) {
    std::cout << (holds ? "held:   " : "BROKEN: ") << what << "\n";
    good &= holds;
  };
  std::cout << "\n";
  for (const auto& [kind, count] : soak.calls()) std::cout << absl::StreamFormat("%-20s %10d\n", kind, count);
  check(soak.wrong() == 0, absl::StrCat(soak.wrong(), " wrong or lost answers"));

  // A little later nothing is left of the calls.
  auto statistics = client.ServerStatistics();
  for (int i = 0; i < 6000 && statistics.ok(); ++i) {
    if (statistics->calls_in_progress == 1 && statistics->networks == 0 &&
        server.OpenFileDescriptors() <= idle_descriptors + 2) {
      break;
    }
    absl::SleepFor(absl::Milliseconds(10));
    statistics = client.ServerStatistics();
  }
  check(statistics.ok() && statistics->calls_in_progress == 1 && statistics->networks == 0,
        "no call and no network is left");
  const int64_t failed = statistics.ok() ? FailedByItsFault(*statistics) : 0;
  check(failed == 0, absl::StrCat(failed, " calls that failed by the server's fault"));
  check(server.OpenFileDescriptors() <= idle_descriptors + 2,
        absl::StrCat(server.OpenFileDescriptors(), " descriptors at the end, ", idle_descriptors, " at the beginning"));
  // Of a short time the beginning is still a part.
  const double slack = duration >= absl::Minutes(10) ? 8e6 : 16e6, part = duration >= absl::Minutes(10) ? 1.05 : 1.1;
  const Range early = MemoryIn(samples, 0.25, 0.5), late = MemoryIn(samples, 0.75, 1);
  check(late.mean < part * early.mean + slack,
        absl::StrFormat("memory: %.0f MB on average in the second quarter, %.0f MB in the last (most: %.0f MB)",
                        early.mean / 1e6, late.mean / 1e6, MemoryIn(samples, 0, 1).most / 1e6));
  server.Signal(SIGTERM);
  const int code = server.WaitForExit();
  check(code == 0, absl::StrCat("exit code ", code));
  const auto left =
      std::count_if(std::filesystem::directory_iterator(state), std::filesystem::directory_iterator(),
                    [](const std::filesystem::directory_entry& entry) { return entry.path().filename() != "lock"; });
  check(left == 0, absl::StrCat(left, " files of networks left"));
  const std::vector<std::string> log = server.Log();
  const auto errors =
      std::count_if(log.begin(), log.end(), [](const std::string& line) { return absl::StartsWith(line, "error: "); });
  check(errors == 0, absl::StrCat(errors, " errors in the log"));
  if (!good) std::cerr << server.Stderr();
  return good ? 0 : 1;
}

}  // namespace
}  // namespace spikeserve::soak

int main(int argc, char** argv) {
  double seconds = 15;
  std::vector<std::string> flags;
  for (int i = 1; i < argc; ++i) {
    absl::string_view argument = argv[i];
    if (absl::ConsumePrefix(&argument, "--seconds=") && absl::SimpleAtod(argument, &seconds) && seconds > 0) continue;
    if (absl::ConsumePrefix(&argument, "--flag=")) {
      flags.emplace_back(argument);
      continue;
    }
    std::cerr << "soak: got " << argv[i] << "; need --seconds=N or --flag=FLAG\n";
    return 2;
  }
  return spikeserve::soak::Main(absl::Seconds(seconds), flags);
}

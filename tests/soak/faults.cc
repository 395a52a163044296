#include "soak/faults.h"

#include <signal.h>

#include <functional>
#include <optional>
#include <random>
#include <set>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "spikeserve/client/health.h"
#include "support/child_process.h"
#include "support/large_answers.h"
#include "support/raw_http2.h"

namespace spikeserve::soak {

using testing::ChildProcess;
using testing::FrameReader;
using testing::RawConnection;

namespace {

// For so long, or until the soak ends.
void Pause(const Soak& soak, absl::Duration time) {
  for (const absl::Time end = absl::Now() + time; absl::Now() < end && !soak.ended();) {
    absl::SleepFor(std::min(absl::Milliseconds(50), end - absl::Now()));
  }
}

// Until `condition` holds, half a minute at most.
bool WaitFor(const std::function<bool()>& condition) {
  const absl::Time end = absl::Now() + absl::Seconds(30);
  while (!condition()) {
    if (absl::Now() > end) return false;
    absl::SleepFor(absl::Milliseconds(50));
  }
  return true;
}

absl::Status CallAs(const Soak& soak, const std::string& token) {
  ConnectOptions options = soak.Encrypted();
  options.token = token;
  return Client::Connect(soak.ways().tls, options)->ServerStatistics().status();
}

}  // namespace

void BreakRules(Soak& soak) {
  std::mt19937 random(5);
  const std::string call =
      testing::Greeting() + testing::CallFrames("/spikeserve.v1.SpikeFunctionService/SpikeCluster", "nonsense", 1);
  while (!soak.ended()) {
    RawConnection peer(random() % 2 == 0 ? soak.ways().tls : soak.ways().plain);
    std::string bytes = call;
    switch (random() % 4) {
      case 0:
        for (int i = 0; i < 5; ++i) bytes[random() % bytes.size()] = static_cast<char>(random());
        break;
      case 1:
        bytes.resize(random() % bytes.size());
        break;
      case 2:
        bytes.assign(1000, '\0');
        break;
      default:
        break;
    }
    peer.Send(bytes);
    if (random() % 2 == 0) peer.Reset();
    soak.Count("broken rules", true, [] { return ""; });
    absl::SleepFor(absl::Milliseconds(2));
  }
}

void TakeNoAnswers(Soak& soak) {
  std::mt19937 random(6);
  while (!soak.ended()) {
    RawConnection peer(soak.ways().plain);
    std::string calls = testing::Greeting();
    // Of 4 MB each.
    for (const uint32_t stream : {1, 3, 5}) {
      calls += testing::CallFrames(testing::kRedundantOneHot, testing::OneHotRequest(100), stream);
    }
    peer.Send(calls);
    if (random() % 2 == 0) {
      FrameReader reader(peer);
      for (int frames = 0; frames < 5; ++frames) reader.Next();
    }
    Pause(soak, absl::Milliseconds(random() % 1000));
    soak.Count("answers not taken", true, [] { return ""; });
  }
}

void KillClients(Soak& soak) {
  std::mt19937 random(7);
  while (!soak.ended()) {
    ChildProcess victim(SPIKESERVE_VICTIM, {soak.ways().plain, soak.ways().token});
    // A call of each kind has been answered.
    std::set<std::string> said;
    while (said.size() < 3) {
      const std::optional<std::string> line = victim.ReadLine();
      if (!line) break;
      said.insert(*line);
    }
    Pause(soak, absl::Milliseconds(random() % 200));
    const int code = victim.End(SIGKILL);
    soak.Count("killed client", code == -SIGKILL, [&] { return absl::StrCat("it ended by itself, with ", code); });
    Pause(soak, absl::Seconds(2));
  }
}

void ReplaceCredentials(Soak& soak, CredentialFiles& files) {
  std::string guest;
  for (int i = 0; !soak.ended(); ++i) {
    const std::string name = absl::StrCat("soak-", i, ".test");
    files.ReplaceCertificate(name);
    ConnectOptions to_name = soak.Encrypted();
    to_name.tls->server_name = name;
    soak.Count("certificate replaced",
               WaitFor([&] { return CheckHealth(soak.ways().tls, absl::Seconds(10), to_name).ok(); }),
               [] { return "it is not in force"; });

    const std::string before = std::exchange(guest, absl::StrCat("guest-", i));
    files.ReplaceGuest(guest);
    soak.Count("token replaced", WaitFor([&] {
                 return CallAs(soak, guest).ok() && (before.empty() || absl::IsUnauthenticated(CallAs(soak, before)));
               }),
               [&] { return absl::StrCat(CallAs(soak, guest).ToString(), "; ", CallAs(soak, before).ToString()); });
    Pause(soak, absl::Seconds(1));
  }
}

void Scrape(Soak& soak) {
  while (!soak.ended()) {
    RawConnection connection(soak.ways().metrics);
    connection.Send("GET /metrics HTTP/1.0\r\n\r\n");
    std::string page;
    for (std::string more = connection.Receive(); !more.empty(); more = connection.Receive()) page += more;
    const bool well = absl::StartsWith(page, "HTTP/1.1 200") && absl::StrContains(page, "spikeserve_calls_total{") &&
                      absl::StrContains(page, "\nspikeserve_state_failed_saves 0\n");
    soak.Count("scrape", well, [&] { return page; });
    Pause(soak, absl::Milliseconds(500));
  }
}

}  // namespace spikeserve::soak

// Calls of all services, through the engine as every transport makes them. The input is one or more of them (see
// FuzzCall), so that they find each other's networks, traces and streams; a network "n" and one of planes, "p", are
// there.

#include <cstdint>
#include <future>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "codec/envelope.h"
#include "fuzz/fuzz_stream.h"
#include "fuzz/fuzzing.h"
#include "runtime/engine.h"
#include "support/calls.h"

namespace spikeserve::testing {
namespace {

std::vector<LayerSpec> FullyConnected() {
  PlifNode hidden;
  hidden.monitor = true;
  RifNode out;
  out.v_reset = std::nullopt;
  return {{.name = "a", .kind = LinearLayer{RowMatrix<float>::Constant(3, 2, 0.75f), {}}},
          {.name = "b", .kind = hidden},
          {.name = "c", .kind = LowPassSynapse{.tau = 2, .learnable = true}},
          {.name = "d", .kind = Dropout{0.5, 1}},
          {.name = "e", .kind = LinearLayer{RowMatrix<float>::Constant(2, 3, 0.5f), {0.5f, 0.25f}}},
          {.name = "f", .kind = out}};
}

std::vector<LayerSpec> OfPlanes() {
  AvgPool2d pool;
  pool.kernel = {2, 2};
  return {{.name = "a", .kind = BatchNorm2d{.num_features = 1}},
          {.name = "b", .kind = pool},
          {.name = "c", .kind = IfNode()},
          {.name = "d", .kind = Flatten()}};
}

// As many as the longest seed has, and one more: many more mostly repeat each other.
constexpr int kMaxCalls = 8;

class Service {
 public:
  Service() : engine_(Options()) {}

  // Makes the calls of `input`, and forgets what they left.
  void Run(absl::string_view input) {
    if (Names(input, "n")) Restore("n", FullyConnected());
    if (Names(input, "p")) Restore("p", OfPlanes());
    std::map<std::string, FuzzStream> streams;
    for (int call = 0; call < kMaxCalls && input.size() >= 3; ++call) {
      const auto byte = [&](size_t i) { return static_cast<size_t>(static_cast<uint8_t>(input[i])); };
      const std::string& path = paths_[byte(0) % paths_.size()];
      const size_t size = std::min(byte(1) + 256 * byte(2), input.size() - 3);
      if (server::StreamMethods().contains(path)) {
        Stream(streams, path, input.substr(3, size));
      } else {
        Submit(path, input.substr(3, size));
      }
      input.remove_prefix(3 + size);
    }
    streams.clear();
    for (const auto& network : engine_.networks().All()) {
      SPIKESERVE_REQUIRE(engine_.networks().Remove(network->name, network->owner).ok());
    }
  }

 private:
  static server::EngineOptions Options() {
    server::EngineOptions options;
    options.threads = 1;
    options.limits = FuzzLimits();
    return options;
  }

  // Whether a request may have the string. To make networks takes longer than most calls, which do without.
  static bool Names(absl::string_view input, absl::string_view name) {
    return absl::StrContains(input, absl::StrCat(absl::string_view("\1", 1), name));
  }

  void Restore(const std::string& name, std::vector<LayerSpec> layers) {
    auto network = Network::Create(std::move(layers));
    SPIKESERVE_REQUIRE(network.ok());
    SPIKESERVE_REQUIRE(engine_.networks().Restore(name, /*owner=*/"", *std::move(network), 0, nullptr).ok());
  }

  void Stream(std::map<std::string, FuzzStream>& streams, const std::string& path, absl::string_view bytes) {
    FuzzStream& stream = streams.try_emplace(path, engine_, path).first->second;
    if (!bytes.empty()) return stream.Send(bytes);
    stream.Close();
    streams.erase(path);
  }

  void Submit(const std::string& path, absl::string_view bytes) {
    // What the request's tensors are in must live until the call ends.
    absl::StatusOr<codec::Envelope> request;
    server::Call call;
    call.path = path;
    call.request = [&](const server::Message& prototype,
                       BufferPool& buffers) -> absl::StatusOr<const codec::Envelope*> {
      request = codec::ParseEnvelope({&bytes, 1}, prototype, buffers);
      if (!request.ok()) return request.status();
      return &*request;
    };
    call.may_compute_at_once = true;
    call.request_bytes = bytes.size();
    std::promise<server::EnvelopeOr> promise;
    OnFinish(call, [&](server::EnvelopeOr result) { promise.set_value(std::move(result)); });
    engine_.Submit(std::move(call));
    const server::EnvelopeOr result = promise.get_future().get();
    if (!result.ok()) return RequireTellsTheCaller(result.status());
    RequireCanBeRead(*result);
  }

  const std::vector<std::string> paths_ = MethodPaths();
  server::Engine engine_;
};

}  // namespace
}  // namespace spikeserve::testing

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static spikeserve::testing::Service& service = *new spikeserve::testing::Service();
  service.Run({reinterpret_cast<const char*>(data), size});
  return 0;
}

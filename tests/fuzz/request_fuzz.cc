// Calls of all services, through the engine as every transport makes them. The input is one or more of them (see
// FuzzCall), so that they find each other's networks, traces and streams; a network "n" and one of planes, "p", are
// there, and memory that is shared. Each request comes in pieces.

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
#include "absl/time/clock.h"
#include "codec/envelope.h"
#include "fuzz/arriving.h"
#include "fuzz/fuzz_memory.h"
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
    if (Names(input, kSharedMemory)) memory_.Fill();
    std::map<std::string, FuzzStream> streams;
    absl::string_view offer;
    for (int call = 0; call < kMaxCalls && input.size() >= 3; ++call) {
      const auto byte = [&](size_t i) { return static_cast<size_t>(static_cast<uint8_t>(input[i])); };
      const size_t method = byte(0) % (paths_.size() + 1);
      const auto padding = static_cast<Padding>(byte(0) / (paths_.size() + 1) % kPaddings);
      const size_t size = std::min(byte(1) + 256 * byte(2), input.size() - 3);
      const absl::string_view bytes = input.substr(3, size);
      input.remove_prefix(3 + size);
      if (method == paths_.size()) {
        offer = bytes;
      } else if (const auto stream = server::StreamMethods().find(paths_[method]);
                 stream != server::StreamMethods().end()) {
        Stream(streams, paths_[method], bytes, Padded(bytes, padding, *stream->second.request_prototype));
      } else {
        Submit(paths_[method], Padded(bytes, padding, *server::Methods().at(paths_[method]).request_prototype), offer);
      }
    }
    streams.clear();
    for (const auto& network : engine_.networks().All()) {
      SPIKESERVE_REQUIRE(engine_.networks().Remove(network->name, network->owner).ok());
    }
    RequireNothingInFlight();
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

  // `bytes` are the padded ones of `message`.
  void Stream(std::map<std::string, FuzzStream>& streams, const std::string& path, absl::string_view message,
              std::string bytes) {
    FuzzStream& stream = streams.try_emplace(path, engine_, path).first->second;
    if (!message.empty()) return stream.Send(std::move(bytes));
    stream.Close();
    streams.erase(path);
  }

  void Submit(const std::string& path, const std::string& bytes, absl::string_view offer) {
    // What the request's tensors are in must live until the call ends.
    absl::StatusOr<codec::Envelope> request;
    server::Call call;
    call.path = path;
    call.request = [&](const Message& prototype, BufferPool& buffers) -> absl::StatusOr<const codec::Envelope*> {
      request = ParsePieces(bytes, prototype, buffers);
      if (!request.ok()) return request.status();
      if (absl::Status resolved = memory_.Resolve(*request, engine_.limits().max_decoded_bytes); !resolved.ok()) {
        return resolved;
      }
      return &*request;
    };
    call.may_compute_at_once = true;
    call.request_bytes = bytes.size();
    std::promise<server::EnvelopeOr> promise;
    OnFinish(call, [&](server::EnvelopeOr result) { promise.set_value(std::move(result)); });
    engine_.Submit(std::move(call));
    server::EnvelopeOr result = promise.get_future().get();
    if (!result.ok()) return RequireTellsTheCaller(result.status());
    for (const codec::TensorField& tensor : result->tensors) {
      SPIKESERVE_REQUIRE(static_cast<int64_t>(tensor.data.size) <= engine_.limits().max_message_bytes);
    }
    memory_.Place(offer, *result);
    RequireCanBeRead(*result);
  }

  // What calls took is given back when they and their networks are gone, which with threads takes a moment. To ask
  // takes longer than most inputs do, and what is not given back is missing later as well.
  void RequireNothingInFlight() {
    constexpr int64_t kOftenFor = 1000, kEvery = 256;
    if (++runs_ > kOftenFor && runs_ % kEvery != 0) return;
    const auto in_flight = [&] { return engine_.statistics().bytes_in_flight; };
    int64_t bytes = in_flight();
    for (int i = 0; i < 10'000 && bytes != 0; ++i) {
      absl::SleepFor(absl::Milliseconds(1));
      bytes = in_flight();
    }
    SPIKESERVE_REQUIRE(bytes == 0);
  }

  const std::vector<std::string> paths_ = MethodPaths();
  server::Engine engine_;
  FuzzMemory memory_;
  int64_t runs_ = 0;
};

}  // namespace
}  // namespace spikeserve::testing

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static spikeserve::testing::Service& service = *new spikeserve::testing::Service();
  service.Run({reinterpret_cast<const char*>(data), size});
  return 0;
}

// What the fuzz targets share.

#ifndef SPIKESERVE_TESTS_FUZZ_FUZZING_H_
#define SPIKESERVE_TESTS_FUZZ_FUZZING_H_

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "codec/envelope.h"
#include "google/protobuf/stubs/logging.h"
#include "runtime/limits.h"
#include "runtime/method.h"
#include "runtime/stream_method.h"
#include "support/envelopes.h"

namespace spikeserve::testing {

// What must hold for every input.
inline void Require(bool holds, const char* what) {
  if (holds) return;
  std::cerr << "does not hold: " << what << std::endl;
  std::abort();
}
#define SPIKESERVE_REQUIRE(condition) ::spikeserve::testing::Require(condition, #condition)

// Inputs are wrong, which is not worth a line each.
inline const auto kQuiet = google::protobuf::SetLogHandler(nullptr);

// Small ones, so that each input is quick: what is allowed takes at most milliseconds and megabytes.
inline server::Limits FuzzLimits() {
  server::Limits limits;
  limits.max_message_bytes = 1 << 17;
  limits.max_decoded_bytes = 1 << 17;
  limits.max_pairs = 1 << 8;
  limits.max_bytes_in_flight = 1 << 18;
  limits.max_networks = 8;
  limits.max_network_bytes = 1 << 19;
  limits.max_trace_bytes = 1 << 17;
  return limits;
}

// How no call may end, whatever it was: with an error that tells its caller nothing.
inline void RequireTellsTheCaller(const absl::Status& status) {
  SPIKESERVE_REQUIRE(status.code() != absl::StatusCode::kInternal);
  SPIKESERVE_REQUIRE(status.code() != absl::StatusCode::kUnknown);
}

// What an answer says can be read again.
inline void RequireCanBeRead(const codec::Envelope& answer) {
  const std::unique_ptr<google::protobuf::Message> read(answer.message->New());
  SPIKESERVE_REQUIRE(read->ParseFromString(Serialized(answer)));
}

template <typename Table>
std::vector<std::string> SortedPaths(const Table& methods) {
  std::vector<std::string> paths;
  for (const auto& [path, method] : methods) paths.push_back(path);
  std::sort(paths.begin(), paths.end());
  return paths;
}

// The paths of all methods, in the order in which a byte numbers them; the streaming ones are the last.
inline std::vector<std::string> MethodPaths() {
  std::vector<std::string> paths = SortedPaths(server::Methods());
  for (std::string& path : SortedPaths(server::StreamMethods())) paths.push_back(std::move(path));
  return paths;
}

// What comes before the fields of a message, so that it takes the ways of larger ones: a fuzzer gets no further with
// inputs of their size.
enum class Padding {
  kNone,
  // More than kSmallRequest.
  kOverSmallRequest,
  // So much that the message is looked at before it is parsed.
  kLarge,
  // The same inside of its first tensor; kLarge where it has none.
  kLargeTensor,
};
constexpr size_t kPaddings = 4;

// A call in the input of request_fuzz: a byte for its method and the padding of its request, the bytes of the request
// in two bytes, the request. Calls of one streaming method are the messages of a stream, which an empty one ends.
inline std::string FuzzCall(size_t method, Padding padding, std::string_view request) {
  const size_t number = method + (MethodPaths().size() + 1) * static_cast<size_t>(padding);
  SPIKESERVE_REQUIRE(number <= 0xff && request.size() <= 0xffff);
  std::string call;
  call += static_cast<char>(number);
  call += static_cast<char>(request.size() & 0xff);
  call += static_cast<char>(request.size() >> 8);
  return call.append(request);
}

inline std::string FuzzCall(std::string_view path, std::string_view request, Padding padding = Padding::kNone) {
  const std::vector<std::string> paths = MethodPaths();
  const auto it = std::find_if(paths.begin(), paths.end(), [&](const std::string& p) {
    return p.size() > path.size() && std::string_view(p).substr(p.size() - path.size()) == path &&
           p[p.size() - path.size() - 1] == '/';
  });
  SPIKESERVE_REQUIRE(it != paths.end());
  return FuzzCall(it - paths.begin(), padding, request);
}

// The number behind those of the methods: no call, but a v1::ResultMemory that those after it offer for their results.
inline std::string FuzzOffer(std::string_view offer) { return FuzzCall(MethodPaths().size(), Padding::kNone, offer); }

// The handle, in an input, of the memory that there is to be shared.
constexpr char kSharedMemory[] = "m";

}  // namespace spikeserve::testing

#endif  // SPIKESERVE_TESTS_FUZZ_FUZZING_H_

// How a client encodes one call and decodes its response: each ...Args struct has a specialisation of RpcTraits, and
// instantiates Client::Start with SPIKESERVE_INSTANTIATE_CALL.

#ifndef SPIKESERVE_CLIENT_RPC_TRAITS_H_
#define SPIKESERVE_CLIENT_RPC_TRAITS_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "codec/tensor_codec.h"
#include "connection.h"
#include "google/protobuf/descriptor.h"
#include "spikeserve/client/client.h"

namespace spikeserve {

// A specialisation has
//   using Request = v1::...Request; using Response = v1::...Response;
//   static void Encode(const Args& args, Request& request);
//   static absl::StatusOr<Args::Result> Decode(const Response& response);
template <typename Args>
struct RpcTraits;

// What the .proto says of the method whose request is `Request`.
struct MethodInfo {
  std::string path;
  bool repeatable;
};
MethodInfo FindMethod(const google::protobuf::Descriptor* request);

// Decodes a tensor of a response. The server decides on sizes, so there is no limit.
inline absl::StatusOr<Tensor> DecodeResult(const v1::Tensor& tensor, std::string_view field) {
  return codec::DecodeTensor(tensor, field, INT64_MAX);
}

// The same for one that may be absent.
absl::StatusOr<std::optional<Tensor>> DecodeOptionalResult(bool has, const v1::Tensor& tensor, std::string_view field);

template <typename Args>
void Client::Start(const Args& args, const CallOptions& options, std::function<void(ResultOr<Args>)> done) const {
  using Traits = RpcTraits<Args>;
  struct State {
    typename Traits::Request request;
    typename Traits::Response response;
    std::shared_ptr<Connection> connection;  // Lives until the call has ended.
  };
  static const MethodInfo& method = *new MethodInfo(FindMethod(Traits::Request::descriptor()));
  auto state = std::make_shared<State>();
  Traits::Encode(args, state->request);
  state->connection = connection_;
  bool repeatable = method.repeatable;
  if constexpr (requires { state->request.has_step(); }) repeatable |= state->request.has_step();
  const Rpc rpc{method.path, repeatable, &state->request, &state->response, absl::Now() + options.timeout};
  connection_->Start(rpc, [state, done = std::move(done)](absl::Status status) {
    ResultOr<Args> result = status.ok() ? Traits::Decode(state->response) : ResultOr<Args>(std::move(status));
    state->connection.reset();  // Before the caller goes on: see Dispose.
    done(std::move(result));
  });
}

#define SPIKESERVE_INSTANTIATE_CALL(Args) \
  template void Client::Start<Args>(const Args&, const CallOptions&, std::function<void(ResultOr<Args>)>) const

}  // namespace spikeserve

#endif  // SPIKESERVE_CLIENT_RPC_TRAITS_H_

// How a client encodes one call and decodes its response: each ...Args struct has a specialisation of RpcTraits, and
// instantiates Client::Start with SPIKESERVE_INSTANTIATE_CALL.

#ifndef SPIKESERVE_CLIENT_RPC_TRAITS_H_
#define SPIKESERVE_CLIENT_RPC_TRAITS_H_

#include <functional>
#include <future>
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
#include "codec/typed_envelope.h"
#include "connection.h"
#include "google/protobuf/descriptor.h"
#include "runtime/guarded.h"
#include "spikeserve/client/client.h"

namespace spikeserve {

// A request that is put together.
template <typename Message>
class RequestBuilder {
 public:
  // `lease` as Client::Launch has it.
  RequestBuilder(BufferPool& buffers, std::shared_ptr<const void> lease)
      : message_(buffers), lease_(std::move(lease)) {}

  Message& operator*() { return *message_; }
  Message* operator->() { return &*message_; }

  // Sets the field `number` to a tensor.
  void Put(int number, const TensorView& view) {
    if (lease_ != nullptr) {
      message_.AddReference(number, view, lease_);
    } else {
      codec::EncodeTensor(view, message_.tensor(number));
    }
  }

  // Sets it to a dense tensor and returns its elements, to be filled in.
  uint8_t* Room(int number, DataType dtype, const Shape& shape) { return message_.tensor(number).Room(dtype, shape); }

  codec::Envelope Release() && { return std::move(message_).Release(); }

 private:
  codec::Outgoing<Message> message_;
  std::shared_ptr<const void> lease_;
};

// A response that is taken apart.
template <typename Message>
class ResponseReader {
 public:
  explicit ResponseReader(codec::Envelope& envelope) : envelope_(envelope) {}

  const Message& operator*() const { return static_cast<const Message&>(*envelope_.message); }
  const Message* operator->() const { return &**this; }

  // The tensor of the field `number`, which is named `field` in errors. The server decides on sizes, so there is no
  // limit.
  absl::StatusOr<Tensor> Take(int number, std::string_view field) {
    codec::TensorField* tensor = envelope_.Find(number);
    if (tensor == nullptr) return codec::DecodeTensor(v1::Tensor::default_instance(), field, INT64_MAX);
    return codec::TakeTensor(*tensor, field, INT64_MAX);
  }

  // The same for one that may be absent.
  absl::StatusOr<std::optional<Tensor>> TakeOptional(int number, std::string_view field) {
    if (envelope_.Find(number) == nullptr) return std::nullopt;
    absl::StatusOr<Tensor> tensor = Take(number, field);
    if (!tensor.ok()) return std::move(tensor).status();
    return *std::move(tensor);
  }

 private:
  codec::Envelope& envelope_;
};

// A specialisation has
//   using Request = v1::...Request; using Response = v1::...Response;
//   static void Encode(const Args& args, RequestBuilder<Request>& request);
//   static absl::StatusOr<Args::Result> Decode(ResponseReader<Response>& response);
// A function that can be streamed has a class RpcTraits<Args>::Exchange as well, a StreamExchange with
//   static int64_t MessageBytes(const Args& args);  // About what request and response would take.
//   Exchange(const Args& args, BufferPool& buffers, std::shared_ptr<const void> lease);
//   absl::StatusOr<Args::Result> Result();  // After the last response.
template <typename Args>
struct RpcTraits;

// What the .proto says of the method whose request is `Request`.
struct MethodInfo {
  std::string path;
  bool repeatable;
  bool has_side_effects;
};
MethodInfo FindMethod(const google::protobuf::Descriptor* request);

// What the exchanges of functions share. Their requests have a field `open`, in the first message only.
template <typename Args, typename RequestMessage, typename ResponseMessage>
class FunctionExchange : public StreamExchange {
 public:
  using Request = RequestMessage;
  using Response = ResponseMessage;

  // See Connection::stream_above_bytes.
  static constexpr int64_t kDivisor = 1;

  // `lease` as Client::Launch has it.
  FunctionExchange(const Args& args, BufferPool& buffers, std::shared_ptr<const void> lease)
      : args_(args), buffers_(buffers), lease_(std::move(lease)) {}

  std::string_view path() const final {
    static const MethodInfo& method = *new MethodInfo(FindMethod(Request::descriptor()));
    return method.path;
  }
  const google::protobuf::Message& response_prototype() const final { return Response::default_instance(); }

  void Begin() override { opened_ = false; }

 protected:
  static absl::Status UnexpectedResponse() {
    return absl::InternalError("the server's response has other elements than the request asked for");
  }

  const Args& args() const { return args_; }
  RequestBuilder<Request> NewRequest() const { return {buffers_, lease_}; }
  // The next message's `open`, which is to be filled in; null after the first.
  auto* Open(RequestBuilder<Request>& request) {
    return std::exchange(opened_, true) ? nullptr : request->mutable_open();
  }

 private:
  const Args& args_;
  BufferPool& buffers_;
  const std::shared_ptr<const void> lease_;
  bool opened_ = false;
};

template <typename Args>
void Client::Launch(const Args& args, const CallOptions& options, std::shared_ptr<const void> lease,
                    std::function<void(ResultOr<Args>)> done) const {
  using Traits = RpcTraits<Args>;
  struct State {
    codec::Envelope request;
    codec::Envelope response;
    std::shared_ptr<Connection> connection;  // Lives until the call has ended.
  };
  static const MethodInfo& method = *new MethodInfo(FindMethod(Traits::Request::descriptor()));
  auto state = std::make_shared<State>();
  state->connection = connection_;
  RequestBuilder<typename Traits::Request> request(connection_->buffers(), std::move(lease));
  Traits::Encode(args, request);
  bool repeatable = method.repeatable;
  if constexpr (requires { request->has_step(); }) repeatable |= request->has_step();
  state->request = std::move(request).Release();
  state->response.message = std::make_unique<typename Traits::Response>();
  const Rpc rpc{method.path,
                repeatable,
                &state->request,
                &state->response,
                absl::Now() + options.timeout,
                method.has_side_effects};
  connection_->Start(rpc, [state, done = std::move(done)](absl::Status status) {
    state->request = {};
    ResponseReader<typename Traits::Response> response(state->response);
    ResultOr<Args> result = status.ok() ? server::Guarded([&]() -> ResultOr<Args> { return Traits::Decode(response); },
                                                          kNoMemoryForResponse)
                                        : ResultOr<Args>(std::move(status));
    state->connection.reset();  // Before the caller goes on: see Dispose.
    done(std::move(result));
  });
}

template <typename Args>
void Client::Start(const Args& args, const CallOptions& options, std::function<void(ResultOr<Args>)> done) const {
  Launch<Args>(args, options, /*lease=*/nullptr, std::move(done));
}

template <typename Args>
auto Client::Call(const Args& args, const CallOptions& options) const -> ResultOr<Args> {
  // The arguments are not copied: the call returns when it has ended and nobody reads them any longer.
  auto released = std::make_shared<std::promise<void>>();
  std::future<void> free = released->get_future();
  std::shared_ptr<const void> lease(&args, [released](const void*) { released->set_value(); });
  ResultOr<Args> result = CallLeased(args, options, std::move(lease));
  free.wait();
  return result;
}

template <typename Args>
auto Client::CallLeased(const Args& args, const CallOptions& options, std::shared_ptr<const void> lease) const
    -> ResultOr<Args> {
  using Traits = RpcTraits<Args>;
  if constexpr (requires { typename Traits::Exchange; }) {
    using Exchange = typename Traits::Exchange;
    if (Exchange::MessageBytes(args) > connection_->stream_above_bytes(Exchange::kDivisor)) {
      const auto exchange = std::make_shared<Exchange>(args, connection_->buffers(), std::move(lease));
      auto ended = std::make_shared<std::promise<absl::Status>>();
      std::future<absl::Status> status_to_come = ended->get_future();
      connection_->Stream(exchange, absl::Now() + options.timeout,
                          [ended](absl::Status status) { ended->set_value(std::move(status)); });
      if (absl::Status status = status_to_come.get(); !status.ok()) return status;
      return exchange->Result();
    }
  }
  auto promise = std::make_shared<std::promise<ResultOr<Args>>>();
  std::future<ResultOr<Args>> future = promise->get_future();
  Launch<Args>(args, options, std::move(lease),
               [promise](ResultOr<Args> result) { promise->set_value(std::move(result)); });
  return future.get();
}

#define SPIKESERVE_INSTANTIATE_CALL(Args)                                                                        \
  template void Client::Start<Args>(const Args&, const CallOptions&, std::function<void(ResultOr<Args>)>) const; \
  template Client::ResultOr<Args> Client::Call<Args>(const Args&, const CallOptions&) const

}  // namespace spikeserve

#endif  // SPIKESERVE_CLIENT_RPC_TRAITS_H_

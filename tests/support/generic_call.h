// Calls as no generated client makes them: of any path and bytes.

#ifndef SPIKESERVE_TESTS_SUPPORT_GENERIC_CALL_H_
#define SPIKESERVE_TESTS_SUPPORT_GENERIC_CALL_H_

#include <memory>
#include <string>
#include <string_view>

#include "grpcpp/generic/generic_stub.h"
#include "grpcpp/grpcpp.h"

namespace spikeserve::testing {

// The status of a unary call, made with `context`.
inline grpc::Status CallUnary(const std::shared_ptr<grpc::Channel>& channel, const std::string& path,
                              std::string_view request, grpc::ClientContext& context) {
  grpc::GenericStub stub(channel);
  const grpc::Slice slice(request.data(), request.size());
  const grpc::ByteBuffer bytes(&slice, 1);
  grpc::ByteBuffer response;
  grpc::CompletionQueue queue;
  const auto call = stub.PrepareUnaryCall(&context, path, bytes, &queue);
  call->StartCall();
  grpc::Status status;
  call->Finish(&response, &status, nullptr);
  void* tag;
  bool ok;
  return queue.Next(&tag, &ok) ? status : grpc::Status(grpc::StatusCode::UNKNOWN, "the call never ended");
}

}  // namespace spikeserve::testing

#endif  // SPIKESERVE_TESTS_SUPPORT_GENERIC_CALL_H_

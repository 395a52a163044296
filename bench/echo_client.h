// The bare gRPC calls to bench_echo_server that spikeserve's are compared with.

#ifndef SPIKESERVE_BENCH_ECHO_CLIENT_H_
#define SPIKESERVE_BENCH_ECHO_CLIENT_H_

#include <functional>
#include <string>

#include "absl/status/status.h"
#include "grpcpp/generic/generic_stub.h"
#include "grpcpp/support/byte_buffer.h"

namespace spikeserve::bench {

// Thread-safe.
class EchoClient {
 public:
  // Calls send `request_bytes` bytes, which are not copied. `method` is "Receive" or "Gather".
  EchoClient(const std::string& address, const std::string& method, size_t request_bytes);

  void Start(std::function<void(absl::Status)> done);
  // Throws std::runtime_error where the call fails.
  void Call();

 private:
  grpc::GenericStub stub_;
  const std::string path_;
  const std::string bytes_;
  const grpc::ByteBuffer request_;
};

}  // namespace spikeserve::bench

#endif  // SPIKESERVE_BENCH_ECHO_CLIENT_H_

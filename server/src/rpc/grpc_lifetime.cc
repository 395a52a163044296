#include "rpc/grpc_lifetime.h"

#include "grpc/grpc.h"

namespace spikeserve::rpc {

void KeepGrpcInitialized() {
  [[maybe_unused]] static const bool initialized = [] {
    grpc_init();
    return true;
  }();
}

}  // namespace spikeserve::rpc

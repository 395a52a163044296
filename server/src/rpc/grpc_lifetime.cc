#include "rpc/grpc_lifetime.h"

#include <openssl/crypto.h>

#include "grpc/grpc.h"

namespace spikeserve::rpc {

void KeepGrpcInitialized() {
  [[maybe_unused]] static const bool initialized = [] {
    KeepOpenSslAtExit();
    grpc_init();
    return true;
  }();
}

void KeepOpenSslAtExit() { OPENSSL_init_crypto(OPENSSL_INIT_NO_ATEXIT, nullptr); }

}  // namespace spikeserve::rpc

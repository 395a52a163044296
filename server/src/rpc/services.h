// The engine's methods as gRPC services.

#ifndef SPIKESERVE_SERVER_RPC_SERVICES_H_
#define SPIKESERVE_SERVER_RPC_SERVICES_H_

#include <memory>
#include <vector>

#include "grpcpp/impl/codegen/service_type.h"
#include "runtime/engine.h"

namespace spikeserve::rpc {

// All services, to be registered with a grpc::ServerBuilder. `engine` must outlive them.
std::vector<std::unique_ptr<grpc::Service>> MakeServices(server::Engine& engine);

}  // namespace spikeserve::rpc

#endif  // SPIKESERVE_SERVER_RPC_SERVICES_H_

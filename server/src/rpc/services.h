// The engine's methods as gRPC services.

#ifndef SPIKESERVE_SERVER_RPC_SERVICES_H_
#define SPIKESERVE_SERVER_RPC_SERVICES_H_

#include <memory>
#include <vector>

#include "grpcpp/impl/codegen/service_type.h"
#include "runtime/engine.h"
#include "shared_memory/region_store.h"

namespace spikeserve::rpc {

// All services, to be registered with a grpc::ServerBuilder. Callers on Unix sockets may name the memory in
// `shared_memory`, for operands and results; null: nobody may. Both must outlive the services.
std::vector<std::unique_ptr<grpc::Service>> MakeServices(server::Engine& engine,
                                                         const shared_memory::RegionStore* shared_memory);

}  // namespace spikeserve::rpc

#endif  // SPIKESERVE_SERVER_RPC_SERVICES_H_

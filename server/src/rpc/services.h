// The engine's methods as gRPC services.

#ifndef SPIKESERVE_SERVER_RPC_SERVICES_H_
#define SPIKESERVE_SERVER_RPC_SERVICES_H_

#include <memory>
#include <vector>

#include "grpcpp/generic/async_generic_service.h"
#include "grpcpp/impl/codegen/service_type.h"
#include "rpc/answers.h"
#include "rpc/caller_of.h"
#include "runtime/engine.h"
#include "shared_memory/region_store.h"

namespace spikeserve::rpc {

// What the services hand calls to. All of it must outlive them, and the calls.
struct ServiceHost {
  server::Engine& engine;
  // Callers on Unix sockets may name the memory in it, for operands and results; null: nobody may.
  const shared_memory::RegionStore* shared_memory;
  CallerRules caller_rules;
  // Is told of every call of the services.
  Answers& answers;
};

// Answers calls of all methods that the services do not have.
std::unique_ptr<grpc::CallbackGenericService> MakeUnknownMethods(server::Engine& engine);

// All services, to be registered with a grpc::ServerBuilder.
std::vector<std::unique_ptr<grpc::Service>> MakeServices(const ServiceHost& host);

}  // namespace spikeserve::rpc

#endif  // SPIKESERVE_SERVER_RPC_SERVICES_H_

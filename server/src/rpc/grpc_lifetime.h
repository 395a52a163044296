// How long gRPC stays initialized.

#ifndef SPIKESERVE_SERVER_RPC_GRPC_LIFETIME_H_
#define SPIKESERVE_SERVER_RPC_GRPC_LIFETIME_H_

namespace spikeserve::rpc {

// Keeps gRPC initialized from the first call until the process ends. Without it, the destructor of the last channel or
// server shuts gRPC down, and in gRPC 1.51 waits up to ten seconds there for a thread that polls connections which are
// gone already (grpc/grpc#41050).
//
// Also KeepOpenSslAtExit. Thread-safe.
void KeepGrpcInitialized();

// gRPC's threads end with the process, while it exits: so OpenSSL is not to free what they use at its exit, or one
// process of a thousand frees it twice (openssl/openssl#6214). Has an effect before anything uses OpenSSL. Starts no
// threads. Thread-safe.
void KeepOpenSslAtExit();

}  // namespace spikeserve::rpc

#endif  // SPIKESERVE_SERVER_RPC_GRPC_LIFETIME_H_

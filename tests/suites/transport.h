// The ways in which a client reaches the service; the suites are run over each.

#ifndef SPIKESERVE_TESTS_SUITES_TRANSPORT_H_
#define SPIKESERVE_TESTS_SUITES_TRANSPORT_H_

#include <memory>
#include <string>

#include "connection.h"
#include "grpcpp/channel.h"
#include "gtest/gtest.h"
#include "rpc/server.h"
#include "runtime/engine.h"
#include "spikeserve/client/client.h"

namespace spikeserve::testing {

using google::protobuf::Message;

// kSharedMemory: over a Unix socket, with tensors of any size in shared memory. kTls: over TCP, where server and client
// both show certificates, and calls need a token.
enum class TransportKind { kInProcess, kTcp, kUds, kSharedMemory, kTls };

// A service with its own engine, and a connection to it.
class Transport {
 public:
  explicit Transport(TransportKind kind, const server::EngineOptions& options = {});

  const std::shared_ptr<Connection>& connection() const { return connection_; }
  Client client() const { return Client(connection_); }
  // Empty in process.
  const std::string& address() const { return address_; }
  // How a client of one's own connects to it, and a channel for calls by hand. Not in process.
  const ConnectOptions& connect_options() const { return connect_options_; }
  std::shared_ptr<grpc::Channel> NewChannel() const;

  // Makes one call with the messages of the wire.
  absl::Status Call(std::string_view path, const Message& request, Message* response);

 private:
  std::unique_ptr<rpc::Server> server_;
  std::shared_ptr<Connection> connection_;
  std::string address_;
  ConnectOptions connect_options_;
};

// The base of the suites' fixtures: a service over the transport that is the test's parameter.
class TransportTest : public ::testing::TestWithParam<TransportKind> {
 protected:
  Transport& transport() { return transport_; }
  Client client() { return transport_.client(); }

 private:
  Transport transport_{GetParam()};
};

// Runs the suite of `Fixture` over every transport.
#define SPIKESERVE_OVER_ALL_TRANSPORTS(Fixture)                                                                   \
  INSTANTIATE_TEST_SUITE_P(Over, Fixture,                                                                         \
                           ::testing::Values(TransportKind::kInProcess, TransportKind::kTcp, TransportKind::kUds, \
                                             TransportKind::kSharedMemory, TransportKind::kTls),                  \
                           [](const ::testing::TestParamInfo<TransportKind>& info) { return ToString(info.param); })

std::string ToString(TransportKind kind);

}  // namespace spikeserve::testing

#endif  // SPIKESERVE_TESTS_SUITES_TRANSPORT_H_

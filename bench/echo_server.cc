// The least that a gRPC server can do: takes any bytes and answers with so many bytes, the same each time. What
// spikeserve takes longer than this is its own.
//
//   bench_echo_server --listen=ADDRESS... --reply-bytes=N
//
// Receive leaves the request in the slices in which gRPC received it: no server can be faster. Gather also copies them
// together into one buffer that is kept, as a server must that computes on a tensor: no server of tensors can be faster
// (unless it computes on the slices as they come).

#include <signal.h>

#include <cstring>
#include <functional>
#include <iostream>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "grpcpp/grpcpp.h"
#include "grpcpp/impl/codegen/server_callback_handlers.h"
#include "grpcpp/impl/codegen/service_type.h"

namespace spikeserve::bench {
namespace {

using grpc::ByteBuffer;
using grpc::CallbackServerContext;
using grpc::ServerUnaryReactor;

// Buffers that are kept: fresh memory costs more than the copy.
class Buffers {
 public:
  std::vector<char> Take(size_t bytes) {
    std::vector<char> buffer;
    {
      const std::lock_guard lock(mutex_);
      if (!idle_.empty()) {
        buffer = std::move(idle_.back());
        idle_.pop_back();
      }
    }
    if (buffer.size() < bytes) buffer.resize(bytes);
    return buffer;
  }

  void Return(std::vector<char> buffer) {
    const std::lock_guard lock(mutex_);
    idle_.push_back(std::move(buffer));
  }

 private:
  std::mutex mutex_;
  std::vector<std::vector<char>> idle_;
};

void Gather(const ByteBuffer& request, char* to) {
  std::vector<grpc::Slice> slices;
  if (!request.Dump(&slices).ok()) return;
  for (const grpc::Slice& slice : slices) {
    std::memcpy(to, slice.begin(), slice.size());
    to += slice.size();
  }
}

class EchoService final : public grpc::Service {
 public:
  explicit EchoService(size_t reply_bytes) : reply_(std::string(reply_bytes, '\1')) {
    AddRawMethod("/spikeserve.bench.Echo/Receive", [](const ByteBuffer&) {});
    AddRawMethod("/spikeserve.bench.Echo/Gather", [this](const ByteBuffer& request) {
      std::vector<char> buffer = buffers_.Take(request.Length());
      Gather(request, buffer.data());
      buffers_.Return(std::move(buffer));
    });
  }

 private:
  // As the code that is generated for a service does it.
  void AddRawMethod(const char* path, std::function<void(const ByteBuffer& request)> take) {
    const auto answer = [this, take = std::move(take)](CallbackServerContext* context, const ByteBuffer* request,
                                                       ByteBuffer* response) -> ServerUnaryReactor* {
      take(*request);
      *response = ByteBuffer(&reply_, 1);  // Shares the slice.
      ServerUnaryReactor* const reactor = context->DefaultReactor();
      reactor->Finish(grpc::Status::OK);
      return reactor;
    };
    AddMethod(new grpc::internal::RpcServiceMethod(path, grpc::internal::RpcMethod::NORMAL_RPC, nullptr));
    MarkMethodRawCallback(methods_++, new grpc::internal::CallbackUnaryHandler<ByteBuffer, ByteBuffer>(answer));
  }

  const grpc::Slice reply_;
  Buffers buffers_;
  int methods_ = 0;
};

int Main(int argc, char** argv) {
  std::vector<std::string> listen;
  size_t reply_bytes = 0;
  CLI::App app("Answers any bytes with so many bytes.", "bench_echo_server");
  app.add_option("--listen", listen, "HOST:PORT (port 0: a free one) or unix:PATH; may be repeated")->required();
  app.add_option("--reply-bytes", reply_bytes, "Bytes of a reply")->capture_default_str();
  CLI11_PARSE(app, argc, argv);

  // Blocked in all threads, so that sigwait gets them.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);

  EchoService service(reply_bytes);
  grpc::ServerBuilder builder;
  builder.RegisterService(&service);
  builder.SetMaxReceiveMessageSize(-1);
  builder.SetMaxSendMessageSize(-1);
  std::vector<int> ports(listen.size());
  for (size_t i = 0; i < listen.size(); ++i) {
    builder.AddListeningPort(listen[i], grpc::InsecureServerCredentials(), &ports[i]);
  }
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (server == nullptr) {
    std::cerr << "bench_echo_server: cannot listen\n";
    return 1;
  }
  for (size_t i = 0; i < listen.size(); ++i) {
    const bool any_port = absl::EndsWith(listen[i], ":0");
    std::cout << "echo listening on "
              << (any_port ? absl::StrCat(listen[i].substr(0, listen[i].size() - 1), ports[i]) : listen[i])
              << std::endl;
  }
  int signal;
  sigwait(&signals, &signal);
  server->Shutdown();
  return 0;
}

}  // namespace
}  // namespace spikeserve::bench

int main(int argc, char** argv) { return spikeserve::bench::Main(argc, argv); }

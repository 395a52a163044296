// spikeserve's client.
//
//   absl::StatusOr<spikeserve::Client> client = spikeserve::Client::Connect("127.0.0.1:50051");
//   spikeserve::RowMatrix<float> v = ...;  // Membrane voltages, [T, N].
//   auto clusters = client->SpikeCluster({.v = v, .v_threshold = 1.0f, .options = {.t_in = 2}});
//   if (clusters.ok()) absl::Span<const float> n_o = clusters->n_o.values<float>();
//
// Client::InProcess() in place of Connect computes in the application itself, without a server or a network: the same
// calls, the same results, the same errors.

#ifndef SPIKESERVE_CLIENT_CLIENT_H_
#define SPIKESERVE_CLIENT_CLIENT_H_

#include <atomic>
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "spikeserve/client/functions.h"
#include "spikeserve/client/network_run.h"
#include "spikeserve/client/networks.h"
#include "spikeserve/client/options.h"
#include "spikeserve/client/statistics.h"
#include "spikeserve/client/training.h"
#include "spikeserve/compute/data_type.h"
#include "spikeserve/compute/shape.h"
#include "spikeserve/compute/tensor.h"

namespace spikeserve {

class Connection;  // internal
class NetworkHandle;

// Thread-safe. Copies share one connection, which lives as long as the last of them and its calls.
class Client {
 public:
  template <typename Args>
  using ResultOr = absl::StatusOr<typename Args::Result>;

  // A client of the server at `target`: "HOST:PORT", "unix:PATH", or another gRPC name such as "dns:///HOST:PORT".
  // Returns without waiting for the server: a server that cannot be reached shows in the calls, as UNAVAILABLE.
  // INVALID_ARGUMENT for an empty target, for shared memory with a target that is not "unix:PATH", and for certificates
  // and tokens that options.h says no to; NOT_FOUND and the like for files of TlsOptions that cannot be read.
  static absl::StatusOr<Client> Connect(std::string_view target, const ConnectOptions& options = {});

  // A client that computes in this process.
  static absl::StatusOr<Client> InProcess(const InProcessOptions& options = {});

  // A client of any connection; Connection is internal.
  explicit Client(std::shared_ptr<Connection> connection) : connection_(std::move(connection)) {}

  // A tensor to be filled and passed to calls of this client: its memory is kept for the next one when it goes, and
  // with ConnectOptions::shared_memory the server reads it where it is. The elements may be anything at first. Needs
  // ByteCount(dtype, shape) to have a value. May outlive the client.
  Tensor NewTensor(DataType dtype, Shape shape) const;

  // Whether large tensors are passed in shared memory at present: not without the option, not where the server does not
  // offer it, and not before the first such tensor.
  bool shared_memory_in_use() const;

  // The calls. Each has three forms: one that waits (`client.SpikeCluster(args)`), one that returns a future
  // (`client.Async(args)`), and one that calls back (`client.Start(args, options, done)`), where `args` is the call's
  // ...Args struct. `done` is called once, from a thread of the library, which it should not hold up; it must not wait
  // for another call.
  template <typename Args>
  void Start(const Args& args, const CallOptions& options, std::function<void(ResultOr<Args>)> done) const;

  template <typename Args>
  std::future<ResultOr<Args>> Async(const Args& args, const CallOptions& options = {}) const {
    auto promise = std::make_shared<std::promise<ResultOr<Args>>>();
    std::future<ResultOr<Args>> future = promise->get_future();
    Start<Args>(args, options, [promise](ResultOr<Args> result) { promise->set_value(std::move(result)); });
    return future;
  }

  template <typename Args>
  ResultOr<Args> Call(const Args& args, const CallOptions& options = {}) const;

  // Functions.
  ResultOr<SpikeClusterArgs> SpikeCluster(const SpikeClusterArgs& a, const CallOptions& o = {}) const;
  ResultOr<KernelDotProductArgs> KernelDotProduct(const KernelDotProductArgs& a, const CallOptions& o = {}) const;
  ResultOr<KernelDotProductVjpArgs> KernelDotProductVjp(const KernelDotProductVjpArgs& a,
                                                        const CallOptions& o = {}) const;
  ResultOr<SpikeSimilarLossArgs> SpikeSimilarLoss(const SpikeSimilarLossArgs& a, const CallOptions& o = {}) const;
  ResultOr<RedundantOneHotArgs> RedundantOneHot(const RedundantOneHotArgs& a, const CallOptions& o = {}) const;
  ResultOr<FirstSpikeIndexArgs> FirstSpikeIndex(const FirstSpikeIndexArgs& a, const CallOptions& o = {}) const;
  ResultOr<ThresholdMarginArgs> ThresholdMargin(const ThresholdMarginArgs& a, const CallOptions& o = {}) const;
  ResultOr<StcaLossArgs> StcaLoss(const StcaLossArgs& a, const CallOptions& o = {}) const;

  // The server itself.
  ResultOr<ServerStatisticsArgs> ServerStatistics(const CallOptions& o = {}) const;

  // Networks.

  // Makes a network that goes with its handle.
  absl::StatusOr<NetworkHandle> CreateNetwork(std::vector<LayerSpec> layers, const CallOptions& o = {}) const;
  // Makes one that goes on where another was: see GetNetworkArgs and checkpoint.h.
  absl::StatusOr<NetworkHandle> RestoreNetwork(const CreateNetworkArgs& args, const CallOptions& o = {}) const;
  // A handle of a network that was made before; it leaves the network behind. Does not call the server.
  NetworkHandle AttachNetwork(std::string network) const;
  ResultOr<ListNetworksArgs> ListNetworks(const CallOptions& o = {}) const;

 private:
  // Starts a call whose arguments' memory stays as it is until `lease` has no owner; null: only until this returns.
  template <typename Args>
  void Launch(const Args& args, const CallOptions& options, std::shared_ptr<const void> lease,
              std::function<void(ResultOr<Args>)> done) const;
  template <typename Args>
  ResultOr<Args> CallLeased(const Args& args, const CallOptions& options, std::shared_ptr<const void> lease) const;

  friend class NetworkHandle;  // Opens streams.

  std::shared_ptr<Connection> connection_;
};

// A network that the server holds. Movable; where it came from CreateNetwork, its destructor deletes the network.
//
// Thread-safe but for moves; the server carries out the calls on a network one after the other. The fields `network` of
// the arguments are filled in.
class NetworkHandle {
 public:
  NetworkHandle(NetworkHandle&& other) noexcept;
  NetworkHandle& operator=(NetworkHandle&& other) noexcept;
  // Waits for the server to delete the network, but not longer than two seconds, and in a call's `done` not at all. A
  // network that could not be deleted in two seconds expires.
  ~NetworkHandle();

  // The network's name: who knows it may use the network.
  const std::string& name() const { return name_; }

  Client::ResultOr<ForwardArgs> Forward(ForwardArgs args, const CallOptions& o = {}) const;
  // Opens a stream of steps; the timeout is that of the whole stream. Whether there is such a network shows in the
  // stream.
  absl::StatusOr<NetworkRun> Run(RunArgs args = {}, const CallOptions& o = {}) const;
  Client::ResultOr<GetNetworkArgs> Get(bool include_monitors = false, const CallOptions& o = {}) const;
  Client::ResultOr<GetNetworkArgs> Get(GetNetworkArgs args, const CallOptions& o = {}) const;
  Client::ResultOr<SetTrainingArgs> SetTraining(bool training, const CallOptions& o = {}) const;
  Client::ResultOr<SetThresholdMarginArgs> SetThresholdMargin(SetThresholdMarginArgs args,
                                                              const CallOptions& o = {}) const;
  Client::ResultOr<ResetNetArgs> Reset(const CallOptions& o = {}) const;

  // Training.
  Client::ResultOr<BackwardArgs> Backward(BackwardArgs args, const CallOptions& o = {}) const;
  Client::ResultOr<ZeroGradientsArgs> ZeroGradients(const CallOptions& o = {}) const;
  Client::ResultOr<ApplyGradientsArgs> ApplyGradients(const Optimizer& optimizer, const CallOptions& o = {}) const;
  Client::ResultOr<ApplyGradientsArgs> ApplyGradients(ApplyGradientsArgs args, const CallOptions& o = {}) const;
  Client::ResultOr<TrainStepArgs> TrainStep(TrainStepArgs args, const CallOptions& o = {}) const;

  // Deletes the network now, and tells whether that went well.
  absl::Status Delete(const CallOptions& o = {});

  // Lets the network outlive the handle.
  void Release() { owned_ = false; }

 private:
  friend class Client;
  NetworkHandle(Client client, std::string name, bool owned)
      : client_(std::move(client)), name_(std::move(name)), owned_(owned) {}

  Client client_;
  std::string name_;
  std::atomic<bool> owned_;
};

}  // namespace spikeserve

#endif  // SPIKESERVE_CLIENT_CLIENT_H_

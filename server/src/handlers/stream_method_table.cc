// The table of all streaming methods: a new one is one line here.

#include "handlers/stream_handlers.h"
#include "runtime/stream_method.h"
#include "spikeserve/v1/networks.pb.h"

namespace spikeserve::server {

const StreamMethodTable& StreamMethods() {
  static const StreamMethodTable& table = *new StreamMethodTable{
      {"/spikeserve.v1.SpikeStreamService/StreamSpikeCluster",
       {&v1::StreamSpikeClusterRequest::default_instance(), MakeStreamSpikeCluster}},
      {"/spikeserve.v1.SpikeStreamService/StreamFirstSpikeIndex",
       {&v1::StreamFirstSpikeIndexRequest::default_instance(), MakeStreamFirstSpikeIndex}},
      {"/spikeserve.v1.SpikeStreamService/StreamKernelDotProduct",
       {&v1::StreamKernelDotProductRequest::default_instance(), MakeStreamKernelDotProduct}},
      {"/spikeserve.v1.SpikeStreamService/StreamSpikeSimilarLoss",
       {&v1::StreamSpikeSimilarLossRequest::default_instance(), MakeStreamSpikeSimilarLoss}},
      {"/spikeserve.v1.SpikeNetworkService/Run", {&v1::RunRequest::default_instance(), MakeRun, /*on_network=*/true}},
  };
  return table;
}

}  // namespace spikeserve::server

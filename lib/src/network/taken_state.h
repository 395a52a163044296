// The state of a network's layers, out of them for a call that may have to be undone.

#ifndef SPIKESERVE_SRC_NETWORK_TAKEN_STATE_H_
#define SPIKESERVE_SRC_NETWORK_TAKEN_STATE_H_

#include <memory>
#include <vector>

#include "network/forward_plan.h"
#include "network/network_layer.h"
#include "spikeserve/compute/shape.h"

namespace spikeserve {

class TakenState {
 public:
  // Leaves the layers, and the shape of their state, as after a reset.
  TakenState(Layers& layers, Shape& sample_shape);

  // Makes them what they were, whatever ran in between, without asking for memory. Called once at most.
  void PutBack();

 private:
  Layers& layers_;
  Shape& sample_shape_;
  Shape shape_before_;
  std::vector<std::unique_ptr<LayerMemory>> before_;
};

}  // namespace spikeserve

#endif  // SPIKESERVE_SRC_NETWORK_TAKEN_STATE_H_

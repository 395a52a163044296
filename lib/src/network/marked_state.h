// Where the layers of a network were before a Forward that may be given up.

#ifndef SPIKESERVE_SRC_NETWORK_MARKED_STATE_H_
#define SPIKESERVE_SRC_NETWORK_MARKED_STATE_H_

#include <cstddef>
#include <iterator>
#include <memory>
#include <utility>
#include <vector>

#include "network/forward_plan.h"
#include "network/learning.h"
#include "network/network_layer.h"
#include "spikeserve/compute/shape.h"

namespace spikeserve {

class MarkedState {
 public:
  MarkedState(Layers& layers, Shape& sample_shape)
      : layers_(layers), sample_shape_(sample_shape), shape_(sample_shape) {
    marks_.reserve(layers.size());
    for (const auto& layer : layers) marks_.push_back(layer->Mark());
  }

  // Makes the layers what they were, without asking for memory. Called once at most.
  void Rewind() {
    sample_shape_ = std::move(shape_);
    for (size_t i = 0; i < layers_.size(); ++i) {
      if (marks_[i] != nullptr) layers_[i]->Rewind(std::move(marks_[i]));
    }
  }

 private:
  Layers& layers_;
  Shape& sample_shape_;
  Shape shape_;
  std::vector<std::unique_ptr<LayerMemory>> marks_;
};

}  // namespace spikeserve

#endif  // SPIKESERVE_SRC_NETWORK_MARKED_STATE_H_

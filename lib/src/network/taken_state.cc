#include "network/taken_state.h"

#include <utility>

namespace spikeserve {

TakenState::TakenState(Layers& layers, Shape& sample_shape)
    : layers_(layers), sample_shape_(sample_shape), shape_before_(std::exchange(sample_shape, {})) {
  before_.reserve(layers.size());
  for (const auto& layer : layers) before_.push_back(layer->Take());
}

void TakenState::PutBack() {
  sample_shape_ = std::move(shape_before_);
  for (size_t i = 0; i < layers_.size(); ++i) {
    if (before_[i] != nullptr) layers_[i]->Put(std::move(before_[i]));
  }
}

}  // namespace spikeserve

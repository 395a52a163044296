#include "bench/operands.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <utility>

#include "npz/npz.h"

namespace spikeserve::bench {

Tensor ForTheWire(const TensorView& tensor) {
  if (tensor.dtype() != DataType::kBool) return Tensor(tensor);
  Tensor bits(DataType::kBit, tensor.shape());
  const int64_t cols = tensor.shape().back();
  const int64_t row_bytes = (cols + 7) / 8;
  const auto* const from = static_cast<const uint8_t*>(tensor.data());
  auto* const to = static_cast<uint8_t*>(bits.data());
  for (int64_t row = 0; row < tensor.size() / std::max<int64_t>(1, cols); ++row) {
    for (int64_t col = 0; col < cols; ++col) {
      to[row * row_bytes + col / 8] |= static_cast<uint8_t>(from[row * cols + col] << (col % 8));
    }
  }
  return bits;
}

RowMatrix<float> ToFloats(const Tensor& tensor) {
  if (tensor.dtype() == DataType::kBool) return tensor.matrix<bool>().cast<float>();
  return tensor.matrix<float>();
}

void Operands::Use(const Json& paths) {
  if (paths == paths_) return;
  arrays_.clear();
  repeated_.clear();
  shared_.clear();
  on_the_wire_.clear();
  floats_.clear();
  paths_ = nullptr;
  for (const auto& [name, source] : paths.items()) {
    const Json& path = source.is_object() ? source.at("path") : source;
    absl::StatusOr<Tensor> array = npz::ReadArray(path.get<std::string>());
    if (!array.ok()) throw std::runtime_error(array.status().ToString());
    if (source.is_object()) repeated_.try_emplace(name, ForTheWire(*array), source.at("times").get<int64_t>());
    arrays_.emplace(name, *std::move(array));
  }
  paths_ = paths;
}

TensorView Operands::OnTheWire(const std::string& name) {
  if (const auto repeated = repeated_.find(name); repeated != repeated_.end()) return repeated->second.view();
  auto it = on_the_wire_.find(name);
  if (it == on_the_wire_.end()) it = on_the_wire_.emplace(name, ForTheWire((*this)[name])).first;
  return it->second;
}

TensorView Operands::Shared(const Client& client, const std::string& address, const std::string& name) {
  const auto key = std::make_pair(address, name);
  auto it = shared_.find(key);
  if (it == shared_.end()) {
    const TensorView operand = OnTheWire(name);
    it = shared_.emplace(key, client.NewTensor(operand.dtype(), operand.shape())).first;
    std::memcpy(it->second.data(), operand.data(), static_cast<size_t>(operand.byte_size()));
  }
  return it->second;
}

const RowMatrix<float>& Operands::Floats(const std::string& name) {
  auto it = floats_.find(name);
  if (it == floats_.end()) it = floats_.emplace(name, ToFloats((*this)[name])).first;
  return it->second;
}

}  // namespace spikeserve::bench

// Tensors larger than memory.

#ifndef SPIKESERVE_BENCH_REPEATED_TENSOR_H_
#define SPIKESERVE_BENCH_REPEATED_TENSOR_H_

#include <cstddef>

#include "spikeserve/compute/tensor.h"

namespace spikeserve::bench {

// The rows of a tensor again and again, as one tensor: the same pages of memory are mapped behind each other, so that
// it is as large as is wanted to whoever reads it, and takes the memory of one.
class RepeatedTensor {
 public:
  // The bytes of `block`, which has at least one dimension, must be a multiple of the size of a page. Throws
  // std::runtime_error where they are not, or the system gives no address space.
  RepeatedTensor(const TensorView& block, int64_t times);
  ~RepeatedTensor();
  RepeatedTensor(const RepeatedTensor&) = delete;
  RepeatedTensor& operator=(const RepeatedTensor&) = delete;

  TensorView view() const { return TensorView(dtype_, shape_, address_); }

 private:
  const DataType dtype_;
  Shape shape_;
  std::byte* address_ = nullptr;
  size_t bytes_ = 0;
};

}  // namespace spikeserve::bench

#endif  // SPIKESERVE_BENCH_REPEATED_TENSOR_H_

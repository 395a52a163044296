// The arrays that workloads compute on, in the forms that the library and the client take.

#ifndef SPIKESERVE_BENCH_OPERANDS_H_
#define SPIKESERVE_BENCH_OPERANDS_H_

#include <map>
#include <string>
#include <utility>

#include "bench/repeated_tensor.h"
#include "bench/worker.h"
#include "spikeserve/client/client.h"
#include "spikeserve/compute/matrix.h"
#include "spikeserve/compute/tensor.h"

namespace spikeserve::bench {

// A tensor as it is sent: 0/1 as bits, others as they are.
Tensor ForTheWire(const TensorView& tensor);

// The elements of a BOOL or FLOAT32 tensor as floats.
RowMatrix<float> ToFloats(const Tensor& tensor);

// Keeps the arrays of one workload, which .npy files hold. They stay where they are until those of another are asked
// for.
class Operands {
 public:
  // Makes the arrays those of `paths`, an object of names and paths; in place of a path, {"path": ..., "times": n}
  // stands for the array's rows n times. Throws std::runtime_error where a file is no array.
  void Use(const Json& paths);

  // The array as the file has it: spikes and other 0/1 as BOOL. Not repeated.
  const Tensor& operator[](const std::string& name) const { return arrays_.at(name); }
  // As ForTheWire, with the rows as often as was asked for; made at the first use.
  TensorView OnTheWire(const std::string& name);
  // The same, not repeated, in memory that the client shares with its server (Client::NewTensor); `address` is the
  // server's.
  TensorView Shared(const Client& client, const std::string& address, const std::string& name);
  // Not repeated; made at the first use.
  const RowMatrix<float>& Floats(const std::string& name);

 private:
  Json paths_;
  std::map<std::string, Tensor> arrays_;
  std::map<std::string, Tensor> on_the_wire_;
  std::map<std::string, RepeatedTensor> repeated_;
  std::map<std::pair<std::string, std::string>, Tensor> shared_;
  std::map<std::string, RowMatrix<float>> floats_;
};

}  // namespace spikeserve::bench

#endif  // SPIKESERVE_BENCH_OPERANDS_H_

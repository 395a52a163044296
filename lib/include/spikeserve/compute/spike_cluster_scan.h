// Spike clusters of a tensor that comes in pieces, each some steps of all neurons.

#ifndef SPIKESERVE_COMPUTE_SPIKE_CLUSTER_SCAN_H_
#define SPIKESERVE_COMPUTE_SPIKE_CLUSTER_SCAN_H_

#include <cstdint>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "spikeserve/compute/executor.h"
#include "spikeserve/compute/matrix.h"
#include "spikeserve/compute/spike_cluster.h"

namespace spikeserve {

// Finds from the rows of v in pieces of any sizes, in the order of time, what SpikeCluster finds from v in one piece,
// bit for bit: SpikeCluster is one Finish(v) on a new scan. Scalar is float or double.
//
// A step can be judged as a candidate for k_positive only when the t_in steps after it are known. So a scan holds, for
// each neuron, about 36 bytes (with double, 72) and its last min(t_in, steps()) voltages; see ByteSize.
//
// Movable. Thread rule: calls on one object may not overlap, but for const ones.
template <typename Scalar>
class SpikeClusterScan {
 public:
  // A scan that has taken no rows. `v_threshold` has one element or one for each neuron; it is copied.
  // Errors: INVALID_ARGUMENT for neurons < 0, NaN in v_threshold, v_threshold of another length, t_in < 0, v_min NaN.
  static absl::StatusOr<SpikeClusterScan> Create(int64_t neurons, absl::Span<const Scalar> v_threshold,
                                                 const SpikeClusterOptions& options,
                                                 Executor& executor = InlineExecutor());
  SpikeClusterScan(SpikeClusterScan&&) noexcept;
  SpikeClusterScan& operator=(SpikeClusterScan&&) noexcept;
  ~SpikeClusterScan();

  // Takes the next rows, [any number, neurons()]; no view of them is kept.
  // Errors: INVALID_ARGUMENT with the field v: for another number of columns and for more than 2^31 - 1 steps, where
  // nothing is taken; for NaN, after which every call returns this error.
  absl::Status Add(MatrixView<Scalar> rows, Executor& executor = InlineExecutor());

  // The clusters of all rows so far. More may be added afterwards.
  // Errors: INVALID_ARGUMENT for v_min above the minimum of the rows.
  absl::StatusOr<SpikeClusters> Finish(Executor& executor = InlineExecutor()) const;

  // The clusters of all rows so far and then `last_rows`, which are not taken, and so never copied.
  // Errors: those of Add and Finish; none of them lasts.
  absl::StatusOr<SpikeClusters> Finish(MatrixView<Scalar> last_rows, Executor& executor = InlineExecutor()) const;

  int64_t neurons() const;
  // How many rows were taken.
  int64_t steps() const;

  // The bytes that the scan holds.
  int64_t ByteSize() const { return ByteSizeAfter(0); }
  // The bytes that it will hold when it has taken `rows` >= 0 more; 2^63 - 1 where these are more.
  int64_t ByteSizeAfter(int64_t rows) const;

 private:
  class Impl;
  explicit SpikeClusterScan(std::unique_ptr<Impl> impl);

  std::unique_ptr<Impl> impl_;
};

}  // namespace spikeserve

#endif  // SPIKESERVE_COMPUTE_SPIKE_CLUSTER_SCAN_H_

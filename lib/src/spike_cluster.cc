#include "spikeserve/compute/spike_cluster.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>

#include "absl/strings/str_cat.h"
#include "spikeserve/compute/field_error.h"

namespace spikeserve {
namespace {

// So many voltages are worth a task of their own.
constexpr int64_t kElementsPerTask = 1 << 16;

// The state of a block of neurons: an array for each variable, so that the loops over the neurons, which are free of
// branches, run in vector registers; small enough for the first-level cache.
template <typename Scalar>
struct NeuronBlock {
  static constexpr int64_t kWidth = 256;
  using Step = int32_t;
  static constexpr Step kNever = std::numeric_limits<int32_t>::min();
  static constexpr Step kNone = std::numeric_limits<int32_t>::max();
  static constexpr Scalar kInfinity = std::numeric_limits<Scalar>::infinity();

  int64_t width;
  Step t_in;
  Scalar threshold[kWidth];
  Scalar lowest[kWidth];
  Scalar highest[kWidth];
  Step not_a_number[kWidth];  // Not 0 if a voltage was.
  Step last_spike[kWidth];    // kNever before the first.
  Step clusters[kWidth];
  Step size[kWidth];         // Spikes of the present cluster; kNone before the first, which so is never the smallest.
  Step smallest[kWidth];     // Spikes of the smallest cluster that has ended.
  Step k_negative[kWidth];   // Its last spike.
  Step k_positive[kWidth];   // The best candidate.
  Scalar candidate[kWidth];  // Its voltage.

  NeuronBlock(int64_t block_width, int64_t steps_in) : width(block_width), t_in(static_cast<Step>(steps_in)) {
    std::fill_n(lowest, kWidth, kInfinity);
    std::fill_n(highest, kWidth, -kInfinity);
    std::fill_n(not_a_number, kWidth, Step{0});
    std::fill_n(last_spike, kWidth, kNever);
    std::fill_n(clusters, kWidth, Step{0});
    std::fill_n(size, kWidth, kNone);
    std::fill_n(smallest, kWidth, kNone);
    std::fill_n(k_negative, kWidth, Step{-1});
    std::fill_n(k_positive, kWidth, Step{-1});
    std::fill_n(candidate, kWidth, -kInfinity);
  }

  // All bits where it holds: compilers turn bit operations into vector ones, but not every choice.
  static Step Mask(bool holds) { return -static_cast<Step>(holds); }
  static Step Select(Step mask, Step a, Step b) { return (a & mask) | (b & ~mask); }

  void Range(const Scalar* v) {
    for (int64_t n = 0; n < width; ++n) {
      lowest[n] = v[n] < lowest[n] ? v[n] : lowest[n];
      highest[n] = v[n] > highest[n] ? v[n] : highest[n];
      not_a_number[n] |= Mask(v[n] != v[n]);
    }
  }

  void Spikes(const Scalar* v, Step t) {
    const Step t_before = t - t_in;
    for (int64_t n = 0; n < width; ++n) {
      const Step fires = Mask(v[n] >= threshold[n]);
      const Step opens = fires & Mask(last_spike[n] < t_before);
      const Step ended = opens & Mask(size[n] < smallest[n]);
      smallest[n] = Select(ended, size[n], smallest[n]);
      k_negative[n] = Select(ended, last_spike[n], k_negative[n]);
      clusters[n] -= opens;
      size[n] = (size[n] & ~opens) - fires;
      last_spike[n] = Select(fires, t, last_spike[n]);
    }
  }

  // Step s is a candidate once the spikes up to s + t_in are known, and none of them is at s - t_in or later.
  void Candidate(const Scalar* v, Step s) {
    const Step s_before = s - t_in;
    for (int64_t n = 0; n < width; ++n) {
      const Step better = Mask(last_spike[n] < s_before) & (Mask(k_positive[n] < 0) | Mask(v[n] > candidate[n]));
      candidate[n] = better != 0 ? v[n] : candidate[n];
      k_positive[n] = Select(better, s, k_positive[n]);
    }
  }

  void EndClusters() {
    for (int64_t n = 0; n < width; ++n) {
      if (size[n] < smallest[n]) k_negative[n] = last_spike[n];
    }
  }
};

template <typename Scalar>
absl::Status CheckOperands(const MatrixView<Scalar>& v, absl::Span<const Scalar> v_threshold,
                           const SpikeClusterOptions& options) {
  if (options.t_in < 0) return InvalidField("t_in", absl::StrCat(options.t_in), ">= 0");
  if (v.rows() > std::numeric_limits<int32_t>::max()) {
    return InvalidField("v", absl::StrCat(v.rows(), " steps"), "fewer than 2^31 steps");
  }
  if (v_threshold.size() != 1 && static_cast<Eigen::Index>(v_threshold.size()) != v.cols()) {
    return InvalidField("v_threshold", absl::StrCat(v_threshold.size(), " elements"),
                        absl::StrCat("1, or one for each of the ", v.cols(), " neurons of v"));
  }
  for (size_t n = 0; n < v_threshold.size(); ++n) {
    if (std::isnan(v_threshold[n])) return InvalidField("v_threshold", absl::StrCat("NaN at index ", n), "numbers");
  }
  if (options.v_min && std::isnan(*options.v_min)) return InvalidField("v_min", "NaN", "a number");
  return absl::OkStatus();
}

template <typename Scalar>
absl::Status NotANumber(const MatrixView<Scalar>& v) {
  for (Eigen::Index t = 0; t < v.rows(); ++t) {
    for (Eigen::Index n = 0; n < v.cols(); ++n) {
      if (std::isnan(v(t, n))) {
        return InvalidField("v", absl::StrCat("NaN at step ", t, " of neuron ", n), "membrane voltages without NaN");
      }
    }
  }
  return absl::OkStatus();
}

}  // namespace

template <typename Scalar>
absl::StatusOr<SpikeClusters> SpikeCluster(MatrixView<Scalar> v, absl::Span<const Scalar> v_threshold,
                                           const SpikeClusterOptions& options, Executor& executor) {
  using Block = NeuronBlock<Scalar>;
  if (absl::Status status = CheckOperands(v, v_threshold, options); !status.ok()) return status;
  const int64_t steps = v.rows();
  const int64_t neurons = v.cols();
  const int64_t t_in = std::min(options.t_in, steps);  // Beyond T they all say the same.
  const bool reference = options.rule == ClusterRule::kReference;
  const int64_t first_step = reference && options.t_in == 0 ? 1 : 0;

  const size_t size = static_cast<size_t>(neurons);
  SpikeClusters result{std::vector<float>(size, 0), std::vector<int32_t>(size, -1), std::vector<int32_t>(size, -1)};
  if (steps == 0 || neurons == 0) return result;
  const int64_t blocks = (neurons - 1) / Block::kWidth + 1;
  std::vector<Scalar> block_min(static_cast<size_t>(blocks));
  std::vector<Scalar> highest(size);
  std::vector<Scalar> candidate(size);
  std::atomic<bool> not_a_number = false;

  const auto scan_block = [&](int64_t b) {
    const int64_t begin = b * Block::kWidth;
    Block block(std::min(Block::kWidth, neurons - begin), t_in);
    for (int64_t n = 0; n < block.width; ++n) block.threshold[n] = v_threshold[v_threshold.size() == 1 ? 0 : begin + n];
    const auto row = [&](int64_t t) { return v.data() + t * v.outerStride() + begin; };
    for (int64_t t = 0; t < steps; ++t) {
      block.Range(row(t));
      if (t >= first_step) block.Spikes(row(t), t);
      if (t - t_in >= first_step) block.Candidate(row(t - t_in), t - t_in);
    }
    for (int64_t s = std::max(first_step, steps - t_in); s < steps; ++s) block.Candidate(row(s), s);
    block.EndClusters();

    std::copy_n(block.clusters, block.width, result.n_o.begin() + begin);
    std::copy_n(block.k_positive, block.width, result.k_positive.begin() + begin);
    std::copy_n(block.k_negative, block.width, result.k_negative.begin() + begin);
    std::copy_n(block.highest, block.width, highest.begin() + begin);
    std::copy_n(block.candidate, block.width, candidate.begin() + begin);
    block_min[b] = *std::min_element(block.lowest, block.lowest + block.width);
    if (std::any_of(block.not_a_number, block.not_a_number + block.width, [](auto nan) { return nan != 0; })) {
      not_a_number.store(true, std::memory_order_relaxed);
    }
  };
  executor.ParallelFor(blocks, 1 + kElementsPerTask / (Block::kWidth * steps), [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; ++b) scan_block(b);
  });
  if (not_a_number) return NotANumber(v);

  const Scalar lowest = *std::min_element(block_min.begin(), block_min.end());
  const Scalar v_min = options.v_min ? static_cast<Scalar>(*options.v_min) : lowest;
  if (v_min > lowest) {
    return InvalidField("v_min", absl::StrCat(*options.v_min), absl::StrCat("at most the minimum of v, ", lowest));
  }
  if (!reference) return result;
  for (size_t n = 0; n < size; ++n) {
    if (highest[n] == v_min) {
      result.k_positive[n] = 0;
    } else if (candidate[n] == v_min) {
      result.k_positive[n] = -1;
    }
  }
  return result;
}

template absl::StatusOr<SpikeClusters> SpikeCluster(MatrixView<float>, absl::Span<const float>,
                                                    const SpikeClusterOptions&, Executor&);
template absl::StatusOr<SpikeClusters> SpikeCluster(MatrixView<double>, absl::Span<const double>,
                                                    const SpikeClusterOptions&, Executor&);

}  // namespace spikeserve

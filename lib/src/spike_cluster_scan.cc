#include "spikeserve/compute/spike_cluster_scan.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "simd/spike_cluster_kernel.h"
#include "spikeserve/compute/field_error.h"
#include "stop_check.h"
#include "voltage_history.h"

namespace spikeserve {
namespace {

// So many voltages are worth a task of their own. A block's state has to be fetched for any number of steps; that takes
// as long as so many.
constexpr int64_t kElementsPerTask = 1 << 17;
constexpr int64_t kStepsOfOverhead = 8;
// The multiplications of floats that take as long as a voltage.
constexpr double kVoltageCost = 20;

// Blocks of which the result is corrected in one task.
constexpr int64_t kBlocksPerTask = 1 << 10;

constexpr int64_t kMaxSteps = std::numeric_limits<int32_t>::max();

int64_t CeilDivide(int64_t a, int64_t b) { return a / b + (a % b != 0); }

template <typename Scalar>
absl::Status CheckOperands(int64_t neurons, absl::Span<const Scalar> v_threshold, const SpikeClusterOptions& options,
                           Executor& executor) {
  if (neurons < 0) return InvalidField("neurons", absl::StrCat(neurons), ">= 0");
  if (options.t_in < 0) return InvalidField("t_in", absl::StrCat(options.t_in), ">= 0");
  if (v_threshold.size() != 1 && static_cast<int64_t>(v_threshold.size()) != neurons) {
    return InvalidField("v_threshold", absl::StrCat(v_threshold.size(), " elements"),
                        absl::StrCat("1, or one for each of the ", neurons, " neurons of v"));
  }
  StopCheck stop(executor);
  for (size_t n = 0; n < v_threshold.size(); ++n) {
    if (stop.After(kVoltageCost)) return NotWanted();
    if (std::isnan(v_threshold[n])) return InvalidField("v_threshold", absl::StrCat("NaN at index ", n), "numbers");
  }
  if (options.v_min && std::isnan(*options.v_min)) return InvalidField("v_min", "NaN", "a number");
  return absl::OkStatus();
}

// The first NaN of rows that begin at `first_step`, in the order of time; OK where there is none.
template <typename Scalar>
absl::Status CheckNumbers(const MatrixView<Scalar>& rows, int64_t first_step, Executor& executor) {
  // The multiplications of floats that take as long as a voltage.
  constexpr double kCost = 10;
  StopCheck stop(executor);
  for (Eigen::Index t = 0; t < rows.rows(); ++t) {
    const Scalar* row = rows.data() + t * rows.outerStride();
    for (Eigen::Index begin = 0; begin < rows.cols(); begin += kElementsPerCheck) {
      const Eigen::Index end = std::min(begin + kElementsPerCheck, rows.cols());
      if (stop.After(kCost * static_cast<double>(end - begin))) return NotWanted();
      int nan = 0;  // All together, so that the loop is of vectors.
      for (Eigen::Index n = begin; n < end; ++n) nan |= row[n] != row[n];
      if (nan == 0) continue;
      const int64_t neuron = std::find_if(row + begin, row + end, [](Scalar v) { return std::isnan(v); }) - row;
      return InvalidField("v", absl::StrCat("NaN at step ", first_step + t, " of neuron ", neuron),
                          "membrane voltages without NaN");
    }
  }
  return absl::OkStatus();
}

}  // namespace

template <typename Scalar>
class SpikeClusterScan<Scalar>::Impl {
 public:
  Impl(int64_t neurons, absl::Span<const Scalar> v_threshold, const SpikeClusterOptions& options, Executor& executor)
      : neurons_(neurons),
        options_(options),
        t_in_(std::min(options.t_in, kMaxSteps)),
        first_step_(options.rule == ClusterRule::kReference && options.t_in == 0 ? 1 : 0),
        history_(neurons, t_in_) {
    v_threshold_.reserve(v_threshold.size());
    ForPieces(executor, static_cast<int64_t>(v_threshold.size()), kElementsPerCheck, [&](int64_t begin, int64_t end) {
      v_threshold_.insert(v_threshold_.end(), v_threshold.begin() + begin, v_threshold.begin() + end);
    });
  }

  absl::Status Add(const MatrixView<Scalar>& rows, Executor& executor);
  absl::StatusOr<SpikeClusters> Finish(const MatrixView<Scalar>& last_rows, Executor& executor) const;

  int64_t neurons() const { return neurons_; }
  int64_t steps() const { return steps_; }
  int64_t ByteSizeAfter(int64_t rows) const;

 private:
  using Group = simd::SpikeClusterGroup<Scalar>;
  using Run = simd::SpikeClusterRun<Scalar>;
  using Step = typename Group::Step;

  // Neurons that are taken together through all steps: so many that the pieces of rows (2 KB of floats) are worth the
  // jump from one row to the next, so few that their state and a run of rows stay in the first-level cache.
  static constexpr int64_t kBlockNeurons = 512;
  static constexpr int64_t kBlockGroups = kBlockNeurons / Group::kNeurons;
  struct Block {
    int64_t first;
    int64_t neurons;  // <= kBlockNeurons.
    Group* groups;    // Their state.
  };

  int64_t BlockCount() const { return CeilDivide(neurons_, kBlockNeurons); }
  int64_t GroupCount() const { return CeilDivide(neurons_, Group::kNeurons); }
  Block BlockAt(int64_t b, Group* groups) const {
    return {b * kBlockNeurons, std::min(kBlockNeurons, neurons_ - b * kBlockNeurons), groups};
  }

  // The minimum of all voltages, on which the reference's k_positive hangs, is known only after the last block. But it
  // makes a difference only to neurons with nothing higher than their own minimum, and only if that is the one of all.
  struct AtMinimum {
    int64_t neuron;
    Scalar lowest;
    int32_t k_positive;  // If `lowest` is the minimum of all.
  };
  struct BlockEnd {
    Scalar lowest;
    std::vector<AtMinimum> at_minimum;
  };

  absl::Status CheckRows(const MatrixView<Scalar>& rows) const;
  void ForEachBlock(int64_t rows, Executor& executor, absl::FunctionRef<void(int64_t b)> body) const;

  void Start(const Block& block) const;
  static void ForgetSpikes(const Block& block);
  // Of a run of steps, for StopCheck.
  static double RunCost(const Block& block) {
    return kVoltageCost * static_cast<double>(Run::kMaxSteps * (block.neurons + Group::kNeurons));
  }
  // Whether there may be a NaN. Anything if the executor has stopped before the end.
  bool Advance(const Block& block, const MatrixView<Scalar>& rows, Executor& executor) const;
  void JudgeLastSteps(const Block& block, const MatrixView<Scalar>& rows, Executor& executor) const;
  void Report(const Block& block, SpikeClusters& result, BlockEnd& end) const;

  // The row of step `step`, one of `rows`, which are the next to be taken, or of the history.
  const Scalar* Row(const MatrixView<Scalar>& rows, int64_t step) const {
    return step >= steps_ ? rows.data() + (step - steps_) * rows.outerStride() : history_.Row(step);
  }

  int64_t neurons_;
  std::vector<Scalar> v_threshold_;
  SpikeClusterOptions options_;
  int64_t t_in_;        // At most 2^31 - 1: beyond all steps they say the same.
  int64_t first_step_;  // The first that may be a spike or a candidate.
  int64_t steps_ = 0;
  absl::Status status_;
  std::unique_ptr<Group[]> groups_;  // None before the first rows.
  // The last min(t_in, steps_) rows.
  VoltageHistory<Scalar> history_;
};

template <typename Scalar>
absl::Status SpikeClusterScan<Scalar>::Impl::CheckRows(const MatrixView<Scalar>& rows) const {
  if (!status_.ok()) return status_;
  if (rows.cols() != neurons_) {
    return InvalidField("v", absl::StrCat(rows.cols(), " neurons"), absl::StrCat(neurons_, " neurons in every piece"));
  }
  if (rows.rows() > kMaxSteps - steps_) {
    const uint64_t steps = static_cast<uint64_t>(steps_) + static_cast<uint64_t>(rows.rows());
    return InvalidField("v", absl::StrCat(steps, " steps"), "fewer than 2^31 steps");
  }
  return absl::OkStatus();
}

template <typename Scalar>
void SpikeClusterScan<Scalar>::Impl::ForEachBlock(int64_t rows, Executor& executor,
                                                  absl::FunctionRef<void(int64_t b)> body) const {
  const int64_t grain = 1 + kElementsPerTask / (kBlockNeurons * (rows + kStepsOfOverhead));
  executor.ParallelFor(BlockCount(), grain, [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; ++b) body(b);
  });
}

template <typename Scalar>
void SpikeClusterScan<Scalar>::Impl::Start(const Block& block) const {
  constexpr Scalar kInfinity = std::numeric_limits<Scalar>::infinity();
  for (int64_t first = 0; first < block.neurons; first += Group::kNeurons) {
    Group& group = block.groups[first / Group::kNeurons];
    std::fill_n(group.lowest, Group::kNeurons, kInfinity);
    std::fill_n(group.highest, Group::kNeurons, -kInfinity);
    if (v_threshold_.size() == 1) {
      std::fill_n(group.threshold, Group::kNeurons, v_threshold_[0]);
    } else {
      std::copy_n(&v_threshold_[block.first + first], std::min(Group::kNeurons, block.neurons - first),
                  group.threshold);
    }
  }
  ForgetSpikes(block);
}

template <typename Scalar>
void SpikeClusterScan<Scalar>::Impl::ForgetSpikes(const Block& block) {
  for (Group* group = block.groups; group < block.groups + CeilDivide(block.neurons, Group::kNeurons); ++group) {
    std::fill_n(group->last_spike, Group::kNeurons, Group::kNever);
    std::fill_n(group->clusters, Group::kNeurons, Step{0});
    std::fill_n(group->size, Group::kNeurons, Group::kNone);
    std::fill_n(group->smallest, Group::kNeurons, Group::kNone);
    std::fill_n(group->k_negative, Group::kNeurons, Step{-1});
    std::fill_n(group->k_positive, Group::kNeurons, Step{-1});
    std::fill_n(group->candidate, Group::kNeurons, std::numeric_limits<Scalar>::quiet_NaN());
  }
}

// Takes a block through `rows`, the next. Step s is judged as a candidate together with the spikes of step s + t_in.
template <typename Scalar>
bool SpikeClusterScan<Scalar>::Impl::Advance(const Block& block, const MatrixView<Scalar>& rows,
                                             Executor& executor) const {
  const int64_t end = steps_ + rows.rows();
  // The row that is read kMaxSteps steps after `t`; after the last ones, in the next block.
  const auto row_ahead = [&](int64_t t) {
    const int64_t ahead = t + Run::kMaxSteps;
    if (ahead < end) return Row(rows, ahead) + block.first;
    const int64_t in_next_block = steps_ + (ahead - end);
    const bool exists = block.first + kBlockNeurons < neurons_ && in_next_block < end;
    return exists ? Row(rows, in_next_block) + block.first + kBlockNeurons : Row(rows, t) + block.first;
  };
  bool maybe_nan = false;
  Run run;
  run.spikes = true;
  run.t_in = static_cast<Step>(t_in_);
  StopCheck stop(executor);
  for (int64_t t = steps_; t < end; t += run.count) {
    if (stop.After(RunCost(block))) return maybe_nan;
    const int64_t s = t - t_in_;
    run.candidates = s >= first_step_;
    run.first_step = static_cast<Step>(t);
    run.first_candidate = static_cast<Step>(s);
    int64_t count = std::min<int64_t>(Run::kMaxSteps, end - t);
    if (!run.candidates) count = std::min(count, first_step_ - s);
    run.count = static_cast<int>(count);
    for (int i = 0; i < run.count; ++i) {
      run.v[i] = Row(rows, t + i) + block.first;
      run.v_ahead[i] = row_ahead(t + i);
      if (run.candidates) run.v_candidate[i] = Row(rows, s + i) + block.first;
    }
    maybe_nan |= simd::Advance(run, block.neurons, block.groups);
    if (t < first_step_) ForgetSpikes(block);
  }
  return maybe_nan;
}

// Judges the steps that are not followed by t_in others, after `rows`.
template <typename Scalar>
void SpikeClusterScan<Scalar>::Impl::JudgeLastSteps(const Block& block, const MatrixView<Scalar>& rows,
                                                    Executor& executor) const {
  const int64_t end = steps_ + rows.rows();
  Run run;
  run.spikes = false;
  run.candidates = true;
  run.t_in = static_cast<Step>(t_in_);
  StopCheck stop(executor);
  for (int64_t s = std::max(first_step_, end - t_in_); s < end; s += run.count) {
    if (stop.After(RunCost(block))) return;
    run.first_candidate = static_cast<Step>(s);
    run.count = static_cast<int>(std::min<int64_t>(Run::kMaxSteps, end - s));
    for (int i = 0; i < run.count; ++i) run.v_candidate[i] = Row(rows, s + i) + block.first;
    simd::Advance(run, block.neurons, block.groups);
  }
}

template <typename Scalar>
void SpikeClusterScan<Scalar>::Impl::Report(const Block& block, SpikeClusters& result, BlockEnd& end) const {
  end.lowest = block.groups[0].lowest[0];
  for (int64_t first = 0; first < block.neurons; first += Group::kNeurons) {
    const Group& group = block.groups[first / Group::kNeurons];
    const int64_t neurons = std::min(Group::kNeurons, block.neurons - first);
    const int64_t out = block.first + first;
    bool any_at_minimum = false;
    for (int64_t n = 0; n < neurons; ++n) {
      const bool last_is_smallest = group.size[n] < group.smallest[n];
      result.n_o[out + n] = static_cast<float>(group.clusters[n]);
      result.k_negative[out + n] = static_cast<int32_t>(last_is_smallest ? group.last_spike[n] : group.k_negative[n]);
      result.k_positive[out + n] = static_cast<int32_t>(group.k_positive[n]);
      end.lowest = std::min(end.lowest, group.lowest[n]);
      any_at_minimum |= (group.highest[n] == group.lowest[n]) | (group.candidate[n] == group.lowest[n]);
    }
    if (options_.rule != ClusterRule::kReference || !any_at_minimum) continue;
    for (int64_t n = 0; n < neurons; ++n) {
      if (group.highest[n] == group.lowest[n]) {
        end.at_minimum.push_back({out + n, group.lowest[n], 0});
      } else if (group.candidate[n] == group.lowest[n]) {
        end.at_minimum.push_back({out + n, group.lowest[n], -1});
      }
    }
  }
}

template <typename Scalar>
absl::Status SpikeClusterScan<Scalar>::Impl::Add(const MatrixView<Scalar>& rows, Executor& executor) {
  if (absl::Status status = CheckRows(rows); !status.ok()) return status;
  if (rows.rows() == 0) return absl::OkStatus();
  const int64_t end = steps_ + rows.rows();
  const bool first = groups_ == nullptr;
  if (first) groups_ = std::make_unique_for_overwrite<Group[]>(static_cast<size_t>(GroupCount()));
  history_.Grow(end, steps_, executor);
  std::atomic<bool> maybe_nan = false;
  ForEachBlock(rows.rows(), executor, [&](int64_t b) {
    const Block block = BlockAt(b, &groups_[b * kBlockGroups]);
    if (first) Start(block);
    if (Advance(block, rows, executor)) maybe_nan.store(true, std::memory_order_relaxed);
    StopCheck stop(executor);
    for (int64_t s = std::max(steps_, end - t_in_); s < end; ++s) {
      if (stop.After(RunCost(block) / Run::kMaxSteps)) return;
      std::copy_n(Row(rows, s) + block.first, block.neurons, history_.Row(s) + block.first);
    }
  });
  if (maybe_nan) status_ = CheckNumbers(rows, steps_, executor);
  if (executor.Stopped()) status_ = NotWanted();
  steps_ = end;
  return status_;
}

template <typename Scalar>
absl::StatusOr<SpikeClusters> SpikeClusterScan<Scalar>::Impl::Finish(const MatrixView<Scalar>& last_rows,
                                                                     Executor& executor) const {
  if (absl::Status status = CheckRows(last_rows); !status.ok()) return status;
  SpikeClusters result{Filled(neurons_, 0.0f, executor), Filled(neurons_, -1, executor),
                       Filled(neurons_, -1, executor)};
  if (executor.Stopped()) return NotWanted();
  if (neurons_ == 0 || steps_ + last_rows.rows() == 0) return result;

  std::vector<BlockEnd> ends(static_cast<size_t>(BlockCount()));
  std::atomic<bool> maybe_nan = false;
  ForEachBlock(last_rows.rows(), executor, [&](int64_t b) {
    Group groups[kBlockGroups];
    const Block block = BlockAt(b, groups);
    if (groups_ == nullptr) {
      Start(block);
    } else {
      std::copy_n(&groups_[b * kBlockGroups], CeilDivide(block.neurons, Group::kNeurons), groups);
    }
    if (Advance(block, last_rows, executor)) maybe_nan.store(true, std::memory_order_relaxed);
    JudgeLastSteps(block, last_rows, executor);
    Report(block, result, ends[static_cast<size_t>(b)]);
  });
  if (maybe_nan) {
    if (absl::Status status = CheckNumbers(last_rows, steps_, executor); !status.ok()) return status;
  }
  if (executor.Stopped()) return NotWanted();

  const Scalar lowest = std::min_element(ends.begin(), ends.end(), [](const BlockEnd& a, const BlockEnd& b) {
                          return a.lowest < b.lowest;
                        })->lowest;
  const Scalar v_min = options_.v_min ? static_cast<Scalar>(*options_.v_min) : lowest;
  if (v_min > lowest) {
    return InvalidField("v_min", absl::StrCat(*options_.v_min),
                        absl::StrCat("at most the minimum of v, ", lowest + Scalar{0}));  // Prints -0 as 0.
  }
  executor.ParallelFor(BlockCount(), kBlocksPerTask, [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; ++b) {
      for (const AtMinimum& at : ends[b].at_minimum) {
        if (at.lowest == v_min) result.k_positive[at.neuron] = at.k_positive;
      }
    }
  });
  return result;
}

template <typename Scalar>
int64_t SpikeClusterScan<Scalar>::Impl::ByteSizeAfter(int64_t rows) const {
  const int64_t steps = rows > kMaxSteps - steps_ ? kMaxSteps : steps_ + rows;
  // As a floating-point number, in which nothing overflows.
  const double bytes = static_cast<double>(sizeof(*this)) +
                       static_cast<double>(v_threshold_.capacity()) * sizeof(Scalar) +
                       (steps > 0 ? static_cast<double>(GroupCount()) * sizeof(Group) : 0) +
                       static_cast<double>(history_.Capacity(steps)) * static_cast<double>(neurons_) * sizeof(Scalar);
  constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
  return bytes < static_cast<double>(kMax) ? static_cast<int64_t>(bytes) : kMax;
}

template <typename Scalar>
absl::StatusOr<SpikeClusterScan<Scalar>> SpikeClusterScan<Scalar>::Create(int64_t neurons,
                                                                          absl::Span<const Scalar> v_threshold,
                                                                          const SpikeClusterOptions& options,
                                                                          Executor& executor) {
  if (absl::Status status = CheckOperands(neurons, v_threshold, options, executor); !status.ok()) return status;
  auto impl = std::make_unique<Impl>(neurons, v_threshold, options, executor);
  if (executor.Stopped()) return NotWanted();
  return SpikeClusterScan(std::move(impl));
}

template <typename Scalar>
SpikeClusterScan<Scalar>::SpikeClusterScan(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

template <typename Scalar>
SpikeClusterScan<Scalar>::SpikeClusterScan(SpikeClusterScan&&) noexcept = default;

template <typename Scalar>
SpikeClusterScan<Scalar>& SpikeClusterScan<Scalar>::operator=(SpikeClusterScan&&) noexcept = default;

template <typename Scalar>
SpikeClusterScan<Scalar>::~SpikeClusterScan() = default;

template <typename Scalar>
absl::Status SpikeClusterScan<Scalar>::Add(MatrixView<Scalar> rows, Executor& executor) {
  return impl_->Add(rows, executor);
}

template <typename Scalar>
absl::StatusOr<SpikeClusters> SpikeClusterScan<Scalar>::Finish(Executor& executor) const {
  return Finish(RowMatrix<Scalar>(0, impl_->neurons()), executor);
}

template <typename Scalar>
absl::StatusOr<SpikeClusters> SpikeClusterScan<Scalar>::Finish(MatrixView<Scalar> last_rows, Executor& executor) const {
  return impl_->Finish(last_rows, executor);
}

template <typename Scalar>
int64_t SpikeClusterScan<Scalar>::neurons() const {
  return impl_->neurons();
}

template <typename Scalar>
int64_t SpikeClusterScan<Scalar>::steps() const {
  return impl_->steps();
}

template <typename Scalar>
int64_t SpikeClusterScan<Scalar>::ByteSizeAfter(int64_t rows) const {
  return impl_->ByteSizeAfter(rows);
}

template class SpikeClusterScan<float>;
template class SpikeClusterScan<double>;

}  // namespace spikeserve

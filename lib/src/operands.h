// Internal: operands of kernel products as their owners have them, to be laid out in panels.

#ifndef SPIKESERVE_COMPUTE_SRC_OPERANDS_H_
#define SPIKESERVE_COMPUTE_SRC_OPERANDS_H_

#include <cstdint>
#include <optional>

#include "aligned_buffer.h"
#include "bit_words.h"
#include "panels.h"
#include "spikeserve/compute/bit_matrix.h"
#include "spikeserve/compute/executor.h"
#include "spikeserve/compute/kernel.h"
#include "spikeserve/compute/matrix.h"

namespace spikeserve {

// A row that is taken from others, if any is.
template <typename T>
using CentreRow = std::optional<AlignedBuffer<T>>;

// The rows of a matrix of floats or doubles, less a row `centre`, as T.
template <typename T, typename Scalar>
class DenseOperand {
 public:
  using Element = T;

  // Without a centre it is all zeros. Both must outlive this.
  explicit DenseOperand(const MatrixView<Scalar>& matrix) : matrix_(matrix) {}
  DenseOperand(const MatrixView<Scalar>& matrix, const CentreRow<T>& centre)
      : matrix_(matrix), centre_(centre ? centre->data() : nullptr) {}

  int64_t rows() const { return matrix_.rows(); }
  int64_t depth() const { return matrix_.cols(); }
  T at(int64_t row, int64_t column) const { return Centred(matrix_(row, column), column); }
  // The columns begin ... begin + depth - 1.
  Panels<T> Pack(int64_t begin, int64_t depth, Executor& executor) const;
  // The columns as rows.
  Panels<T> PackColumns(Executor& executor) const;

 private:
  T Centred(Scalar element, int64_t column) const {
    return static_cast<T>(element) - (centre_ == nullptr ? T{0} : centre_[column]);
  }

  const MatrixView<Scalar>& matrix_;
  const T* centre_ = nullptr;
};

// The rows of a matrix of bits; a step of depth is 64 columns.
class BitOperand {
 public:
  using Element = uint64_t;

  explicit BitOperand(const BitMatrixView& bits) : bits_(bits) {}

  int64_t rows() const { return bits_.rows(); }
  int64_t depth() const { return WordsOf(bits_.cols()); }
  // The steps begin ... begin + depth - 1.
  Panels<uint64_t> Pack(int64_t begin, int64_t depth, Executor& executor) const;

 private:
  BitMatrixView bits_;
};

// A row in the middle of those of x and y, as T. Differences of rows are more accurate when it is taken from both: the
// squares, from which those of the differences are computed, are smaller. Its elements are some of the rows', those
// nearest to the mean: so what is equal in all rows becomes 0, and whole numbers stay whole. 0 where the mean is not
// finite. None for kernels that take no distances.
template <typename T, typename Scalar>
CentreRow<T> Centre(const Kernel& kernel, const MatrixView<Scalar>& x, const MatrixView<Scalar>& y, Executor& executor);

}  // namespace spikeserve

#endif  // SPIKESERVE_COMPUTE_SRC_OPERANDS_H_

// Views of memory as row-major matrices: the form in which the compute functions take operands and give results.

#ifndef SPIKESERVE_COMPUTE_MATRIX_H_
#define SPIKESERVE_COMPUTE_MATRIX_H_

#include "Eigen/Core"

namespace spikeserve {

template <typename Scalar>
using RowMatrix = Eigen::Matrix<Scalar, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

// A view of a RowMatrix or of memory (Eigen::Map<const RowMatrix<Scalar>>); the rows may be farther apart than they are
// long. Does not own the elements.
template <typename Scalar>
using MatrixView = Eigen::Ref<const RowMatrix<Scalar>>;

// The same, to write to.
template <typename Scalar>
using MutableMatrixView = Eigen::Ref<RowMatrix<Scalar>>;

}  // namespace spikeserve

#endif  // SPIKESERVE_COMPUTE_MATRIX_H_

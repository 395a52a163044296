// The gradient of kernels as its definition has it, for the tests of the library and of the service.

#ifndef SPIKESERVE_TESTS_LIB_NAIVE_KERNEL_VJP_H_
#define SPIKESERVE_TESTS_LIB_NAIVE_KERNEL_VJP_H_

#include <cmath>
#include <variant>

#include "lib/compute_test_util.h"
#include "spikeserve/compute/kernel.h"
#include "spikeserve/compute/matrix.h"

namespace spikeserve::testing {

template <typename Scalar>
struct KernelGradients {
  RowMatrix<Scalar> x;
  RowMatrix<Scalar> y;

  bool operator==(const KernelGradients&) const = default;
};

// The definition of KernelDotProductVjp, in double.
template <typename Scalar>
KernelGradients<double> NaiveKernelVjp(const RowMatrix<Scalar>& x_, const RowMatrix<Scalar>& y_, const Kernel& kernel,
                                       const RowMatrix<Scalar>& grad_output) {
  const RowMatrix<double> x = x_.template cast<double>();
  const RowMatrix<double> y = y_.template cast<double>();
  KernelGradients<double> grad{RowMatrix<double>::Zero(x.rows(), x.cols()),
                               RowMatrix<double>::Zero(y.rows(), y.cols())};
  for (Eigen::Index i = 0; i < x.rows(); ++i) {
    for (Eigen::Index j = 0; j < y.rows(); ++j) {
      const auto g = static_cast<double>(grad_output(i, j));
      const double k = NaiveKernel(kernel, x.row(i), y.row(j));
      if (const auto* gaussian = std::get_if<GaussianKernel>(&kernel)) {
        const Eigen::RowVectorXd pull = -g * k / (gaussian->sigma * gaussian->sigma) * (x.row(i) - y.row(j));
        grad.x.row(i) += pull;
        grad.y.row(j) -= pull;
        continue;
      }
      double weight = g;
      if (const auto* polynomial = std::get_if<PolynomialKernel>(&kernel)) {
        weight *= polynomial->d * std::pow(x.row(i).dot(y.row(j)), polynomial->d - 1);
      } else if (const auto* sigmoid = std::get_if<SigmoidKernel>(&kernel)) {
        weight *= sigmoid->alpha * k * (1 - k);
      }
      grad.x.row(i) += weight * y.row(j);
      grad.y.row(j) += weight * x.row(i);
    }
  }
  return grad;
}

}  // namespace spikeserve::testing

#endif  // SPIKESERVE_TESTS_LIB_NAIVE_KERNEL_VJP_H_

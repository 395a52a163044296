// Dense arrays whose element type is known at run time: what programs hand to the service and get from it.

#ifndef SPIKESERVE_COMPUTE_TENSOR_H_
#define SPIKESERVE_COMPUTE_TENSOR_H_

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <type_traits>
#include <utility>
#include <vector>

#include "Eigen/Core"
#include "absl/base/macros.h"
#include "absl/types/span.h"
#include "spikeserve/compute/data_type.h"
#include "spikeserve/compute/matrix.h"
#include "spikeserve/compute/shape.h"

namespace spikeserve {

// A view of a dense row-major array that somebody else owns and keeps alive and unchanged. Converts from a Tensor, a
// RowMatrix or a map of one, an Eigen vector, a span or vector of numbers (one dimension), and a number (a scalar).
class TensorView {
 public:
  // `data` points at the dense form, of ByteCount(dtype, shape) bytes.
  TensorView(DataType dtype, Shape shape, const void* data) : dtype_(dtype), shape_(std::move(shape)), data_(data) {}

  // An array of any number of dimensions. `values` holds ElementCount(shape) elements.
  template <typename T>
  TensorView(absl::Span<const T> values, Shape shape)
      : TensorView(DataTypeOf<T>::value, std::move(shape), values.data()) {
    ABSL_HARDENING_ASSERT(ElementCount(shape_) == static_cast<int64_t>(values.size()));
  }

  template <typename T>
  TensorView(absl::Span<const T> values)  // NOLINT(google-explicit-constructor)
      : TensorView(DataTypeOf<T>::value, {static_cast<int64_t>(values.size())}, values.data()) {}

  template <typename T>
  TensorView(const std::vector<T>& values)  // NOLINT(google-explicit-constructor)
      : TensorView(absl::MakeConstSpan(values)) {}

  // A contiguous row-major matrix, or a vector.
  template <typename Derived>
  TensorView(const Eigen::PlainObjectBase<Derived>& matrix)  // NOLINT(google-explicit-constructor)
      : TensorView(FromEigen(matrix.derived())) {}
  template <typename Plain>
  TensorView(const Eigen::Map<Plain>& matrix)  // NOLINT(google-explicit-constructor)
      : TensorView(FromEigen(matrix)) {}

  // A scalar, which the view keeps itself.
  template <typename T, typename = std::enable_if_t<std::is_arithmetic_v<T>>>
  TensorView(T value)  // NOLINT(google-explicit-constructor)
      : TensorView(DataTypeOf<T>::value, {}, nullptr) {
    static_assert(sizeof(T) <= sizeof(scalar_));
    std::memcpy(scalar_, &value, sizeof(T));
    is_scalar_ = true;
  }

  DataType dtype() const { return dtype_; }
  const Shape& shape() const { return shape_; }
  const void* data() const { return is_scalar_ ? scalar_ : data_; }
  // The number of elements.
  int64_t size() const { return ElementCount(shape_).value_or(0); }
  // The size of the dense form.
  int64_t byte_size() const { return ByteCount(dtype_, shape_).value_or(0); }

 private:
  template <typename Matrix>
  static TensorView FromEigen(const Matrix& m) {
    using Scalar = std::remove_const_t<typename Matrix::Scalar>;
    static_assert(Matrix::IsRowMajor || Matrix::IsVectorAtCompileTime, "tensors are row-major");
    if constexpr (Matrix::IsVectorAtCompileTime) {
      return TensorView(DataTypeOf<Scalar>::value, {static_cast<int64_t>(m.size())}, m.data());
    } else {
      return TensorView(DataTypeOf<Scalar>::value, {static_cast<int64_t>(m.rows()), static_cast<int64_t>(m.cols())},
                        m.data());
    }
  }

  DataType dtype_;
  Shape shape_;
  const void* data_;
  bool is_scalar_ = false;
  alignas(8) unsigned char scalar_[8] = {};
};

// Owns a dense row-major array, aligned to 64 bytes. Movable; copies are made with TensorView's data explicitly.
class Tensor {
 public:
  // FLOAT32 of shape [0].
  Tensor() : Tensor(DataType::kFloat32, {0}) {}
  // All bits zero. Needs ByteCount(dtype, shape) to have a value.
  Tensor(DataType dtype, Shape shape);
  // A copy.
  explicit Tensor(const TensorView& view);
  // Takes over memory that holds the dense form, at a multiple of 64, and that nobody else writes to.
  Tensor(DataType dtype, Shape shape, std::shared_ptr<std::byte> bytes)
      : dtype_(dtype), shape_(std::move(shape)), bytes_(std::move(bytes)) {}

  Tensor(Tensor&&) = default;
  Tensor& operator=(Tensor&&) = default;

  DataType dtype() const { return dtype_; }
  const Shape& shape() const { return shape_; }
  int64_t size() const { return ElementCount(shape_).value_or(0); }
  int64_t byte_size() const { return ByteCount(dtype_, shape_).value_or(0); }
  const void* data() const { return bytes_.get(); }
  void* data() { return bytes_.get(); }

  operator TensorView() const { return TensorView(dtype_, shape_, data()); }  // NOLINT(google-explicit-constructor)

  // The elements. T must be the type of dtype().
  template <typename T>
  absl::Span<const T> values() const {
    ABSL_HARDENING_ASSERT(DataTypeOf<T>::value == dtype_);
    return absl::Span<const T>(static_cast<const T*>(data()), static_cast<size_t>(size()));  // No {}: a list of bools.
  }
  template <typename T>
  absl::Span<T> values() {
    ABSL_HARDENING_ASSERT(DataTypeOf<T>::value == dtype_);
    return {static_cast<T*>(data()), static_cast<size_t>(size())};
  }

  // The elements as a matrix: a row for each index of the first dimension, the others flattened; a scalar is 1 x 1, one
  // dimension a single row. T must be the type of dtype().
  template <typename T>
  Eigen::Map<const RowMatrix<T>> matrix() const {
    const int64_t rows = shape_.size() < 2 ? 1 : shape_[0];
    return {values<T>().data(), rows, rows == 0 ? 0 : size() / rows};
  }

  // The elements as numbers, of any dtype.
  std::vector<double> ToDoubles() const;

 private:
  DataType dtype_;
  Shape shape_;
  // Never shared with another tensor.
  std::shared_ptr<std::byte> bytes_;
};

}  // namespace spikeserve

#endif  // SPIKESERVE_COMPUTE_TENSOR_H_

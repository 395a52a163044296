#include "codec/plane_layer_codec.h"

#include <limits>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "codec/tensor_codec.h"
#include "spikeserve/compute/field_error.h"
#include "status_macros.h"

namespace spikeserve::codec {
namespace {

using Lengths = google::protobuf::RepeatedField<int32_t>;

// Nullopt where there are none.
absl::StatusOr<std::optional<Extent>> DecodeExtent(const Lengths& lengths, const std::string& path) {
  switch (lengths.size()) {
    case 0:
      return std::nullopt;
    case 1:
      return Extent{lengths[0], lengths[0]};
    case 2:
      return Extent{lengths[0], lengths[1]};
    default:
      return InvalidField(path, absl::StrCat(lengths.size(), " lengths"), "one for both, or [height, width]");
  }
}

absl::Status DecodeExtent(const Lengths& lengths, const std::string& path, Extent& out) {
  SPIKESERVE_ASSIGN_OR_RETURN(const std::optional<Extent> extent, DecodeExtent(lengths, path));
  out = extent.value_or(out);
  return absl::OkStatus();
}

// A number that the wire cannot say becomes one that is refused for every length.
int32_t WireLength(int64_t length) {
  using Limits = std::numeric_limits<int32_t>;
  return length >= Limits::min() && length <= Limits::max() ? static_cast<int32_t>(length) : Limits::min();
}

void EncodeExtent(Extent extent, Lengths* out) {
  out->Add(WireLength(extent.height));
  out->Add(WireLength(extent.width));
}

// What both pools' messages share.
template <class Message, class Pool>
absl::Status DecodePool(const Message& in, const std::string& path, Pool& out) {
  if (in.kernel().empty()) return InvalidField(path + ".kernel", "absent", "one length for both, or [height, width]");
  SPIKESERVE_RETURN_IF_ERROR(DecodeExtent(in.kernel(), path + ".kernel", out.kernel));
  SPIKESERVE_ASSIGN_OR_RETURN(out.stride, DecodeExtent(in.stride(), path + ".stride"));
  return DecodeExtent(in.padding(), path + ".padding", out.padding);
}

template <class Pool, class Message>
void EncodePool(const Pool& spec, Message* out) {
  EncodeExtent(spec.kernel, out->mutable_kernel());
  if (spec.stride) EncodeExtent(*spec.stride, out->mutable_stride());
  EncodeExtent(spec.padding, out->mutable_padding());
}

// A vector of `shape`, such as "[out]".
absl::Status DecodeVector(bool has, const v1::Tensor& tensor, const std::string& path, std::string_view shape,
                          Room room, std::vector<float>& out) {
  if (!has) return absl::OkStatus();
  SPIKESERVE_ASSIGN_OR_RETURN(auto values, Decode<float>(tensor, path, Accept::kNumber, room));
  SPIKESERVE_RETURN_IF_ERROR(CheckRank(values.shape(), 1, path, shape));
  if (values.values().empty())
    return InvalidField(path, "no elements", absl::StrCat(std::string(shape), ", or absent"));
  out = values.ToVector();
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Conv2d> DecodeKind(const v1::Conv2d& in, const std::string& path, Room room) {
  const std::string weight_path = path + ".weight";
  SPIKESERVE_ASSIGN_OR_RETURN(auto weight, Decode<float>(in.weight(), weight_path, Accept::kNumber, room));
  SPIKESERVE_RETURN_IF_ERROR(
      CheckRank(weight.shape(), 4, weight_path, "[out, channels / groups, kernel height, kernel width]"));
  Conv2d out{.weight_shape = weight.shape(), .weight = weight.ToVector()};
  SPIKESERVE_RETURN_IF_ERROR(DecodeVector(in.has_bias(), in.bias(), path + ".bias", "[out]", room, out.bias));
  SPIKESERVE_RETURN_IF_ERROR(DecodeExtent(in.stride(), path + ".stride", out.stride));
  SPIKESERVE_RETURN_IF_ERROR(DecodeExtent(in.padding(), path + ".padding", out.padding));
  SPIKESERVE_RETURN_IF_ERROR(DecodeExtent(in.dilation(), path + ".dilation", out.dilation));
  if (in.has_groups()) out.groups = in.groups();
  return out;
}

void EncodeKind(const Conv2d& spec, v1::Layer* layer) {
  v1::Conv2d* out = layer->mutable_conv2d();
  // Values that are not those of the shape go as a vector, which is refused.
  const bool fits = ElementCount(spec.weight_shape) == static_cast<int64_t>(spec.weight.size());
  EncodeTensor(TensorView(absl::MakeConstSpan(spec.weight),
                          fits ? spec.weight_shape : Shape{static_cast<int64_t>(spec.weight.size())}),
               out->mutable_weight());
  if (!spec.bias.empty()) EncodeTensor(spec.bias, out->mutable_bias());
  EncodeExtent(spec.stride, out->mutable_stride());
  EncodeExtent(spec.padding, out->mutable_padding());
  EncodeExtent(spec.dilation, out->mutable_dilation());
  out->set_groups(WireLength(spec.groups));
}

absl::StatusOr<AvgPool2d> DecodeKind(const v1::AvgPool2d& in, const std::string& path, Room) {
  AvgPool2d out;
  SPIKESERVE_RETURN_IF_ERROR(DecodePool(in, path, out));
  if (in.has_count_include_pad()) out.count_include_pad = in.count_include_pad();
  return out;
}

void EncodeKind(const AvgPool2d& spec, v1::Layer* layer) {
  EncodePool(spec, layer->mutable_avg_pool2d());
  layer->mutable_avg_pool2d()->set_count_include_pad(spec.count_include_pad);
}

absl::StatusOr<MaxPool2d> DecodeKind(const v1::MaxPool2d& in, const std::string& path, Room) {
  MaxPool2d out;
  SPIKESERVE_RETURN_IF_ERROR(DecodePool(in, path, out));
  return out;
}

void EncodeKind(const MaxPool2d& spec, v1::Layer* layer) { EncodePool(spec, layer->mutable_max_pool2d()); }

absl::StatusOr<Flatten> DecodeKind(const v1::Flatten& in, const std::string&, Room) {
  Flatten out;
  if (in.has_start_dim()) out.start_dim = in.start_dim();
  if (in.has_end_dim()) out.end_dim = in.end_dim();
  return out;
}

void EncodeKind(const Flatten& spec, v1::Layer* layer) {
  layer->mutable_flatten()->set_start_dim(WireLength(spec.start_dim));
  layer->mutable_flatten()->set_end_dim(WireLength(spec.end_dim));
}

absl::StatusOr<BatchNorm2d> DecodeKind(const v1::BatchNorm2d& in, const std::string& path, Room room) {
  BatchNorm2d out;
  if (in.has_num_features()) {
    if (in.num_features() == 0) return InvalidField(path + ".num_features", "0", "a number from 1 to 65536, or absent");
    out.num_features = in.num_features();
  }
  if (in.has_eps()) out.eps = in.eps();
  if (in.has_momentum()) out.momentum = in.momentum();
  if (in.has_affine()) out.affine = in.affine();
  const auto decode = [&](bool has, const v1::Tensor& tensor, const char* part, std::vector<float>& values) {
    return DecodeVector(has, tensor, path + part, "[channels]", room, values);
  };
  SPIKESERVE_RETURN_IF_ERROR(decode(in.has_weight(), in.weight(), ".weight", out.weight));
  SPIKESERVE_RETURN_IF_ERROR(decode(in.has_bias(), in.bias(), ".bias", out.bias));
  SPIKESERVE_RETURN_IF_ERROR(decode(in.has_running_mean(), in.running_mean(), ".running_mean", out.running_mean));
  SPIKESERVE_RETURN_IF_ERROR(decode(in.has_running_var(), in.running_var(), ".running_var", out.running_var));
  return out;
}

void EncodeKind(const BatchNorm2d& spec, v1::Layer* layer) {
  v1::BatchNorm2d* out = layer->mutable_batch_norm2d();
  if (spec.num_features != 0) out->set_num_features(WireLength(spec.num_features));
  out->set_eps(spec.eps);
  out->set_momentum(spec.momentum);
  out->set_affine(spec.affine);
  if (!spec.weight.empty()) EncodeTensor(spec.weight, out->mutable_weight());
  if (!spec.bias.empty()) EncodeTensor(spec.bias, out->mutable_bias());
  if (!spec.running_mean.empty()) EncodeTensor(spec.running_mean, out->mutable_running_mean());
  if (!spec.running_var.empty()) EncodeTensor(spec.running_var, out->mutable_running_var());
}

}  // namespace spikeserve::codec

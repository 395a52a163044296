#include "codec/option_codec.h"

#include "absl/strings/str_cat.h"
#include "codec/overloaded.h"
#include "spikeserve/compute/field_error.h"

namespace spikeserve::codec {

absl::StatusOr<Kernel> DecodeKernel(const v1::Kernel& kernel) {
  constexpr std::string_view kFinite = "a finite number";
  switch (kernel.kind_case()) {
    case v1::Kernel::kLinear:
      return LinearKernel{};
    case v1::Kernel::kPolynomial:
      if (!kernel.polynomial().has_d()) return InvalidField("kernel.polynomial.d", "absent", kFinite);
      return PolynomialKernel{kernel.polynomial().d()};
    case v1::Kernel::kSigmoid:
      if (!kernel.sigmoid().has_alpha()) return InvalidField("kernel.sigmoid.alpha", "absent", kFinite);
      return SigmoidKernel{kernel.sigmoid().alpha()};
    case v1::Kernel::kGaussian:
      if (!kernel.gaussian().has_sigma()) return InvalidField("kernel.gaussian.sigma", "absent", kFinite);
      return GaussianKernel{kernel.gaussian().sigma()};
    case v1::Kernel::KIND_NOT_SET:
      break;
  }
  return InvalidField("kernel", "absent", "one of linear, polynomial, sigmoid, gaussian");
}

void EncodeKernel(const Kernel& kernel, v1::Kernel* out) {
  std::visit(Overloaded{
                 [&](const LinearKernel&) { out->mutable_linear(); },
                 [&](const PolynomialKernel& k) { out->mutable_polynomial()->set_d(k.d); },
                 [&](const SigmoidKernel& k) { out->mutable_sigmoid()->set_alpha(k.alpha); },
                 [&](const GaussianKernel& k) { out->mutable_gaussian()->set_sigma(k.sigma); },
             },
             kernel);
}

absl::StatusOr<ClusterRule> DecodeClusterRule(v1::ClusterRule rule) {
  switch (rule) {
    case v1::CLUSTER_RULE_UNSPECIFIED:
    case v1::CLUSTER_RULE_REFERENCE:
      return ClusterRule::kReference;
    case v1::CLUSTER_RULE_DEFINITION:
      return ClusterRule::kDefinition;
    default:
      return InvalidField("rule", absl::StrCat(rule), "CLUSTER_RULE_REFERENCE or CLUSTER_RULE_DEFINITION");
  }
}

v1::ClusterRule EncodeClusterRule(ClusterRule rule) {
  return rule == ClusterRule::kReference ? v1::CLUSTER_RULE_REFERENCE : v1::CLUSTER_RULE_DEFINITION;
}

absl::StatusOr<LossType> DecodeLossType(v1::LossType loss_type) {
  switch (loss_type) {
    case v1::LOSS_TYPE_MSE:
      return LossType::kMse;
    case v1::LOSS_TYPE_L1:
      return LossType::kL1;
    case v1::LOSS_TYPE_BCE:
      return LossType::kBce;
    default:
      return InvalidField("loss_type",
                          loss_type == v1::LOSS_TYPE_UNSPECIFIED ? "LOSS_TYPE_UNSPECIFIED" : absl::StrCat(loss_type),
                          "LOSS_TYPE_MSE, LOSS_TYPE_L1 or LOSS_TYPE_BCE");
  }
}

v1::LossType EncodeLossType(LossType loss_type) {
  switch (loss_type) {
    case LossType::kMse:
      return v1::LOSS_TYPE_MSE;
    case LossType::kL1:
      return v1::LOSS_TYPE_L1;
    case LossType::kBce:
      return v1::LOSS_TYPE_BCE;
  }
  return v1::LOSS_TYPE_UNSPECIFIED;
}

}  // namespace spikeserve::codec

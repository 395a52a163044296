#include "codec/training_codec.h"

#include <string>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "codec/network_state_codec.h"
#include "codec/option_codec.h"
#include "codec/overloaded.h"
#include "spikeserve/compute/field_error.h"
#include "status_macros.h"

namespace spikeserve::codec {
namespace {

absl::StatusOr<SimilarityLoss> DecodeSimilarity(const v1::SimilarityLoss& in, const std::string& path) {
  SimilarityLoss out;
  if (in.has_kernel()) {
    absl::StatusOr<Kernel> kernel = DecodeKernel(in.kernel());
    if (!kernel.ok()) return WithinField(path, kernel.status());
    out.kernel = *kernel;
  }
  if (in.loss_type() != v1::LOSS_TYPE_UNSPECIFIED) {
    absl::StatusOr<LossType> loss_type = DecodeLossType(in.loss_type());
    if (!loss_type.ok()) return WithinField(path, loss_type.status());
    out.loss_type = *loss_type;
  }
  return out;
}

absl::StatusOr<LossTerm> DecodeLoss(const v1::LossTerm& in, const std::string& path) {
  LossTerm out{.layer = in.layer(), .kind = RateLoss()};
  if (in.has_weight()) out.weight = in.weight();
  switch (in.kind_case()) {
    case v1::LossTerm::kSimilarity: {
      SPIKESERVE_ASSIGN_OR_RETURN(out.kind, DecodeSimilarity(in.similarity(), path + ".similarity"));
      return out;
    }
    case v1::LossTerm::kRate:
      return out;
    case v1::LossTerm::kCount:
      out.kind = CountLoss();
      return out;
    case v1::LossTerm::kClusters: {
      ClusterLoss clusters{.t_in = in.clusters().t_in()};
      if (in.clusters().has_n_d()) clusters.n_d = in.clusters().n_d();
      out.kind = clusters;
      return out;
    }
    case v1::LossTerm::KIND_NOT_SET:
      break;
  }
  return InvalidField(path + ".kind", "absent", "one of similarity, rate, count, clusters");
}

}  // namespace

absl::StatusOr<TrainStepOptions> DecodeTrainStepOptions(const v1::TrainStepRequest& request) {
  TrainStepOptions options;
  SPIKESERVE_ASSIGN_OR_RETURN(options.optimizer, DecodeOptimizer(request.optimizer(), "optimizer"));
  options.num_classes = request.num_classes();
  constexpr int kMostLosses = 1024;
  if (request.losses_size() > kMostLosses) {
    return InvalidField("losses", absl::StrCat(request.losses_size(), " terms"), absl::StrCat("at most ", kMostLosses));
  }
  for (int k = 0; k < request.losses_size(); ++k) {
    SPIKESERVE_ASSIGN_OR_RETURN(LossTerm term, DecodeLoss(request.losses(k), absl::StrCat("losses[", k, "]")));
    options.losses.push_back(std::move(term));
  }
  options.output_layer = request.output_layer();
  if (request.has_margin()) {
    TrainingMargin& margin = options.margin.emplace();
    if (request.margin().has_threshold0()) margin.threshold0 = request.margin().threshold0();
    if (request.margin().has_threshold1()) margin.threshold1 = request.margin().threshold1();
  }
  return options;
}

void EncodeTrainStepOptions(const TrainStepOptions& options, v1::TrainStepRequest* request) {
  EncodeOptimizer(options.optimizer, request->mutable_optimizer());
  request->set_num_classes(options.num_classes);
  for (const LossTerm& term : options.losses) {
    v1::LossTerm* out = request->add_losses();
    out->set_layer(term.layer);
    out->set_weight(term.weight);
    std::visit(Overloaded{
                   [&](const SimilarityLoss& loss) {
                     EncodeKernel(loss.kernel, out->mutable_similarity()->mutable_kernel());
                     out->mutable_similarity()->set_loss_type(EncodeLossType(loss.loss_type));
                   },
                   [&](const RateLoss&) { out->mutable_rate(); },
                   [&](const CountLoss&) { out->mutable_count(); },
                   [&](const ClusterLoss& loss) {
                     out->mutable_clusters()->set_t_in(loss.t_in);
                     out->mutable_clusters()->set_n_d(loss.n_d);
                   },
               },
               term.kind);
  }
  request->set_output_layer(options.output_layer);
  if (options.margin.has_value()) {
    request->mutable_margin()->set_threshold0(options.margin->threshold0);
    request->mutable_margin()->set_threshold1(options.margin->threshold1);
  }
}

TrainStepResult DecodeTrainStepResult(const v1::TrainStepResponse& response) {
  TrainStepResult result{.loss = response.loss(),
                         .losses = {response.losses().begin(), response.losses().end()},
                         .correct = response.correct(),
                         .accuracy = response.accuracy(),
                         .spike_rates = {}};
  for (const auto& rate : response.spike_rates()) result.spike_rates.push_back({rate.layer(), rate.rate()});
  return result;
}

void EncodeTrainStepResult(const TrainStepResult& result, v1::TrainStepResponse* response) {
  response->set_loss(result.loss);
  for (const double loss : result.losses) response->add_losses(loss);
  response->set_correct(result.correct);
  response->set_accuracy(result.accuracy);
  for (const LayerRate& rate : result.spike_rates) {
    auto* out = response->add_spike_rates();
    out->set_layer(rate.layer);
    out->set_rate(rate.rate);
  }
}

}  // namespace spikeserve::codec

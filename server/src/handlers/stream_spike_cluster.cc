#include <memory>
#include <optional>
#include <type_traits>
#include <utility>
#include <variant>

#include "codec/option_codec.h"
#include "handlers/operands.h"
#include "handlers/stream_handlers.h"
#include "spikeserve/compute/spike_cluster_scan.h"

namespace spikeserve::server {
namespace {

using Request = v1::StreamSpikeClusterRequest;
using Response = v1::StreamSpikeClusterResponse;

class StreamSpikeCluster : public OpenedStream<Request> {
 protected:
  absl::Status Open(Incoming<Request> request, Context& context) override {
    const v1::SpikeClusterRequest& open = request->open();
    options_.t_in = open.t_in();
    SPIKESERVE_ASSIGN_OR_RETURN(options_.rule, codec::DecodeClusterRule(open.rule()));
    if (open.has_v_min()) options_.v_min = open.v_min();
    // Until the first piece tells in which type to compute.
    if (!open.has_v_threshold()) return absl::OkStatus();
    SPIKESERVE_RETURN_IF_ERROR(context.room.Take(static_cast<int64_t>(open.v_threshold().SpaceUsedLong()), 1));
    v_threshold_ = std::make_unique<v1::Tensor>(open.v_threshold());
    return absl::OkStatus();
  }

  absl::Status TakePiece(Incoming<Request> request, Context& context) override {
    if (!request.has_tensor(Request::kVFieldNumber)) return absl::OkStatus();
    const codec::WireTensor v = request.tensor(Request::kVFieldNumber);
    return WithScalar([&]<typename Scalar>() { return Add<Scalar>(v, context); }, v);
  }

 public:
  absl::Status Close(Context& context) override {
    const auto finish = [&](const auto& scan) -> absl::Status {
      if constexpr (std::is_same_v<std::decay_t<decltype(scan)>, std::monostate>) {
        return InvalidField("v", "absent", "at least one piece");
      } else {
        SPIKESERVE_RETURN_IF_ERROR(context.room.Take(scan.neurons(), kClusterBytes));
        SPIKESERVE_ASSIGN_OR_RETURN(clusters_, scan.Finish(context.executor));
        return absl::OkStatus();
      }
    };
    return std::visit(finish, scan_);
  }

  int64_t KeptBytes() const override {
    const auto bytes = [](const auto& scan) -> int64_t {
      if constexpr (std::is_same_v<std::decay_t<decltype(scan)>, std::monostate>) {
        return 0;
      } else {
        return scan.ByteSize();
      }
    };
    return std::visit(bytes, scan_) + (v_threshold_ ? static_cast<int64_t>(v_threshold_->SpaceUsedLong()) : 0);
  }

  absl::StatusOr<std::optional<codec::Envelope>> Next(Context& context) override {
    if (!clusters_) return std::nullopt;
    Outgoing<Response> response(context.buffers);
    const auto encode = [&](const auto& values, std::string_view field, int number) {
      return EncodeResult(TensorView(absl::MakeConstSpan(values)), field, context, response.tensor(number));
    };
    SPIKESERVE_RETURN_IF_ERROR(encode(clusters_->n_o, "n_o", Response::kNOFieldNumber));
    SPIKESERVE_RETURN_IF_ERROR(encode(clusters_->k_positive, "k_positive", Response::kKPositiveFieldNumber));
    SPIKESERVE_RETURN_IF_ERROR(encode(clusters_->k_negative, "k_negative", Response::kKNegativeFieldNumber));
    clusters_.reset();
    return std::move(response).Release();
  }

 private:
  template <typename Scalar>
  absl::Status Add(const codec::WireTensor& v, Context& context) {
    SPIKESERVE_ASSIGN_OR_RETURN(auto rows, DecodeMatrix<Scalar>(v, "v", codec::Accept::kFloat, "[t, N]", context));
    if (std::holds_alternative<std::monostate>(scan_)) {
      const v1::Tensor& wire = v_threshold_ != nullptr ? *v_threshold_ : v1::Tensor::default_instance();
      SPIKESERVE_ASSIGN_OR_RETURN(auto v_threshold,
                                  DecodePerNeuron<Scalar>(wire, "open.v_threshold", codec::Accept::kNumber, context));
      SPIKESERVE_ASSIGN_OR_RETURN(
          scan_, SpikeClusterScan<Scalar>::Create(rows.shape()[1], v_threshold.values(), options_, context.executor));
      v_threshold_.reset();
    }
    auto* scan = std::get_if<SpikeClusterScan<Scalar>>(&scan_);
    if (scan == nullptr) {
      return InvalidField("v.dtype", std::string(DataTypeName(DataTypeOf<Scalar>::value)), "that of the first piece");
    }
    const int64_t bytes = scan->ByteSizeAfter(rows.shape()[0]);
    if (bytes > context.limits.max_decoded_bytes) {
      return OverLimit("open.t_in", bytes, "bytes for the last t_in steps", context.limits.max_decoded_bytes,
                       "--max-decoded-bytes");
    }
    SPIKESERVE_RETURN_IF_ERROR(context.room.Take(bytes - scan->ByteSize(), 1));
    return scan->Add(AsMatrix(rows), context.executor);
  }

  std::unique_ptr<const v1::Tensor> v_threshold_;
  SpikeClusterOptions options_;
  std::variant<std::monostate, SpikeClusterScan<float>, SpikeClusterScan<double>> scan_;
  std::optional<SpikeClusters> clusters_;
};

}  // namespace

std::unique_ptr<StreamHandler> MakeStreamSpikeCluster() { return std::make_unique<StreamSpikeCluster>(); }

}  // namespace spikeserve::server

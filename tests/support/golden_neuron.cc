#include "support/golden_neuron.h"

#include <optional>
#include <string>

namespace spikeserve::testing {
namespace {

Surrogate SurrogateOf(const nlohmann::json& params) {
  const std::string kind = params.at("surrogate");
  if (kind == "sign_swish") return SignSwishSurrogate{params.at("beta")};
  if (kind == "bilinear_leaky_relu") {
    return BilinearLeakyReluSurrogate{params.at("a"), params.at("b"), params.at("c")};
  }
  return SigmoidSurrogate{params.at("alpha")};
}

}  // namespace

LayerSpec GoldenNeuron(const nlohmann::json& params) {
  NeuronSpec neuron;
  neuron.v_threshold = params.at("v_threshold").get<float>();
  const nlohmann::json& v_reset = params.at("v_reset");
  neuron.v_reset = v_reset.is_null() ? std::nullopt : std::optional<float>(v_reset.get<float>());
  neuron.surrogate = SurrogateOf(params);
  const std::string type = params.at("type");
  if (type == "lif") return {.kind = LifNode{neuron, params.at("tau")}};
  if (type == "plif") return {.kind = PlifNode{neuron, params.at("init_tau")}};
  if (type == "rif") {
    RifNode rif{neuron, params.at("init_w")};
    if (params.contains("amplitude")) {
      const double amplitude = params.at("amplitude");
      rif.bounds = {-amplitude, amplitude};
    }
    return {.kind = rif};
  }
  return {.kind = IfNode{neuron}};
}

}  // namespace spikeserve::testing

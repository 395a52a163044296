// Writes the seeds of the fuzz targets: make_corpus FOLDER. They are small right inputs of every kind, from which the
// fuzzer makes wrong ones. What a fuzzer has found is added beside them by hand, and stays.

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "codec/network_state_codec.h"
#include "fuzz/fuzzing.h"
#include "google/protobuf/text_format.h"
#include "google/protobuf/util/json_util.h"
#include "npz/npy.h"
#include "npz/npz.h"
#include "spikeserve/v1/functions.pb.h"
#include "spikeserve/v1/networks.pb.h"
#include "spikeserve/v1/stored_network.pb.h"
#include "spikeserve/v1/streams.pb.h"
#include "spikeserve/v1/training.pb.h"
#include "state/state_file.h"

namespace spikeserve::testing {
namespace {

using google::protobuf::Message;

template <typename M>
M Text(const std::string& text) {
  M message;
  SPIKESERVE_REQUIRE(google::protobuf::TextFormat::ParseFromString(text, &message));
  return message;
}

class Corpus {
 public:
  Corpus(const std::filesystem::path& root, const std::string& target) : folder_(root / target) {
    std::filesystem::create_directories(folder_);
  }
  std::string Path(const std::string& name) const { return (folder_ / name).string(); }
  void Add(const std::string& name, const std::string& bytes) const {
    std::ofstream(Path(name), std::ios::binary) << bytes;
  }

 private:
  const std::filesystem::path folder_;
};

// Each form and dtype, and what each is taken as.
void AddTensors(const Corpus& corpus) {
  const std::pair<const char*, const char*> tensors[] = {
      {"bool", "dtype: DATA_TYPE_BOOL shape: [2, 3] data: '\\0\\1\\1\\0\\0\\1'"},
      {"bit", "dtype: DATA_TYPE_BIT shape: [2, 9] data: '\\x0f\\1\\xf0\\0'"},
      {"uint8", "dtype: DATA_TYPE_UINT8 shape: 3 data: '\\0\\1\\xff'"},
      {"int32", "dtype: DATA_TYPE_INT32 shape: 2 data: '\\0\\0\\0\\0\\xff\\xff\\xff\\xff'"},
      {"int64", "dtype: DATA_TYPE_INT64 shape: 1 data: '\\1\\0\\0\\0\\0\\0\\0\\x80'"},
      {"float32", "dtype: DATA_TYPE_FLOAT32 shape: [1, 2] data: '\\0\\0\\x80\\x3f\\0\\0\\xc0\\x7f'"},
      {"float64", "dtype: DATA_TYPE_FLOAT64 shape: [] data: '\\0\\0\\0\\0\\0\\0\\xf0\\x3f'"},
      {"values", "dtype: DATA_TYPE_FLOAT32 shape: [3, 1] values: [0, 1.5, -2e30]"},
      {"events", "dtype: DATA_TYPE_BOOL shape: [4, 5, 6] event_deltas: [0, 1, 7, 90]"},
      {"empty", "dtype: DATA_TYPE_FLOAT32 shape: [0, 7]"},
  };
  for (const auto& [name, text] : tensors) {
    const std::string tensor = Text<v1::Tensor>(text).SerializeAsString();
    for (int accept = 0; accept < 4; ++accept) {
      corpus.Add(absl::StrCat(name, ".", accept), static_cast<char>(accept + 4 * (accept % 3)) + tensor);
    }
  }
}

constexpr char kVoltages[] = "dtype: DATA_TYPE_FLOAT32 shape: [4, 2] values: [0.5, 1, 1, 0.2, -1, 1.5, 2, 0]";
constexpr char kSpikes[] = "dtype: DATA_TYPE_BOOL shape: [3, 4] event_deltas: [0, 2, 3, 5]";
constexpr char kOne[] = "dtype: DATA_TYPE_FLOAT32 shape: 1 values: 1";
constexpr char kLabels[] = "dtype: DATA_TYPE_INT64 shape: 3 values: [0, 1, 1]";
constexpr char kOneHot[] = "dtype: DATA_TYPE_BIT shape: [3, 2] data: '\\1\\2\\2'";
// Inputs of the networks "n" and "p", two steps of three samples.
constexpr char kInput[] =
    "dtype: DATA_TYPE_FLOAT32 shape: [2, 3, 2] values: [1, 2, 0.5, 3, 1, 0, 4, 1, 0.5, 0.25, 2, 2]";
constexpr char kPlanes[] = "dtype: DATA_TYPE_BIT shape: [2, 1, 1, 4, 4] data: '\\5\\2\\x0f\\0\\1\\2\\4\\x8'";

template <typename Request>
std::string Call(const char* method, const std::string& text) {
  return FuzzCall(method, Text<Request>(text).SerializeAsString());
}

std::string Forward(const char* network, const char* input, const char* more) {
  return Call<v1::ForwardRequest>("Forward", absl::StrCat("network: '", network, "' input {", input, "} ", more));
}

std::string Backward() {
  return Call<v1::BackwardRequest>(
      "Backward",
      "network: 'n' grad_output { dtype: DATA_TYPE_FLOAT32 shape: [2, 3, 2] "
      "values: [1, 0, 0, 1, -1, 1, 0, 0.5, 1, 1, 0, 0] } compute_grad_input: true include_gradients: true");
}

std::string TrainStep(const char* more) {
  return Call<v1::TrainStepRequest>(
      "TrainStep", absl::StrCat("network: 'n' input {", kInput, "} labels {", kLabels, "} num_classes: 2 ", more));
}

std::string RunMessage(const char* more) {
  return Call<v1::RunRequest>("Run", absl::StrCat("input {", kInput, "} ", more));
}

const char* const kLayers =
    "layers { name: 'fc' linear { weight { dtype: DATA_TYPE_FLOAT32 shape: [2, 2] values: [1, 0.5, 0, 1] } "
    "bias { dtype: DATA_TYPE_FLOAT32 shape: 2 values: [0, 0.5] } } } "
    "layers { lif_node { tau: 2 v_threshold: 0.5 surrogate { sign_swish { beta: 2 } } } } "
    "layers { low_pass_synapse { learnable: true } } layers { dropout { p: 0.25 seed: 3 } } "
    "layers { name: 'out' rif_node { amplitude_range { lo: -1 hi: 1 } init_w: 0.5 soft_reset: true } } ";
const char* const kPlaneLayers =
    "layers { conv2d { weight { dtype: DATA_TYPE_FLOAT32 shape: [2, 1, 2, 2] values: [1, 0, 0, 1, 1, 1, 0, 0] } "
    "padding: 1 stride: [2, 1] } } layers { batch_norm2d { num_features: 2 } } layers { max_pool2d { kernel: 2 } } "
    "layers { avg_pool2d { kernel: [1, 2] } } layers { flatten {} } layers { plif_node { monitor: true } } ";
const char* const kState =
    "training: true format_version: 1 state { sample_shape: [1, 2] "
    "layers { layer: '1' v { dtype: DATA_TYPE_FLOAT32 shape: 2 values: [0.25, -1] } } "
    "layers { layer: '2' current { dtype: DATA_TYPE_FLOAT32 shape: 2 values: [1, 0] } } "
    "layers { layer: '3' masks_drawn: 2 mask { dtype: DATA_TYPE_FLOAT32 shape: 2 values: [0, 1.3333334] } } } ";

void AddRequests(const Corpus& corpus) {
  const std::string v = absl::StrCat("v {", kVoltages, "} v_threshold {", kOne, "} ");
  const std::string x = absl::StrCat("x {", kSpikes, "} ");
  const std::pair<const char*, std::string> calls[] = {
      {"spike_cluster", Call<v1::SpikeClusterRequest>("SpikeCluster", v + "t_in: 1 mask_dtype: DATA_TYPE_BIT")},
      {"spike_cluster_index",
       Call<v1::SpikeClusterRequest>("SpikeCluster", v + "index_output: true rule: CLUSTER_RULE_DEFINITION v_min: -1")},
      {"stca_loss", Call<v1::StcaLossRequest>("StcaLoss", v + "n_d { dtype: DATA_TYPE_INT32 shape: 2 values: [1, 2] } "
                                                              "compute_gradient: true")},
      {"kernel", Call<v1::KernelDotProductRequest>("KernelDotProduct", x)},
      {"kernel_y", Call<v1::KernelDotProductRequest>(
                       "KernelDotProduct", absl::StrCat(x, "y {", kSpikes, "} kernel { gaussian { sigma: 2 } }"))},
      {"kernel_vjp", Call<v1::KernelDotProductVjpRequest>(
                         "KernelDotProductVjp",
                         x + "kernel { polynomial { d: 2 } } grad_output { dtype: DATA_TYPE_FLOAT32 shape: [3, 3] "
                             "values: [1, 0, 0, 0, 1, 0, 0, 0, 1] }")},
      {"similar_loss",
       Call<v1::SpikeSimilarLossRequest>("SpikeSimilarLoss",
                                         absl::StrCat("spikes {", kSpikes, "} labels {", kOneHot,
                                                      "} kernel { sigmoid { alpha: 0.5 } } loss_type: LOSS_TYPE_BCE "
                                                      "compute_gradient: true"))},
      {"one_hot",
       Call<v1::RedundantOneHotRequest>("RedundantOneHot", absl::StrCat("labels {", kLabels, "} num_classes: 2 n: 3"))},
      {"first_spike",
       Call<v1::FirstSpikeIndexRequest>("FirstSpikeIndex", absl::StrCat("spikes {", kSpikes, "} index_output: true"))},
      {"margin", Call<v1::ThresholdMarginRequest>("ThresholdMargin",
                                                  absl::StrCat("label_one_hot {", kOneHot, "} training: true"))},
      {"statistics", Call<v1::ListNetworksRequest>("ServerStatistics", "")},
      {"list", Call<v1::ListNetworksRequest>("ListNetworks", "")},
      {"create", Call<v1::CreateNetworkRequest>("CreateNetwork", absl::StrCat(kLayers, kState))},
      {"create_planes", Call<v1::CreateNetworkRequest>("CreateNetwork", kPlaneLayers)},
      {"delete", Call<v1::DeleteNetworkRequest>("DeleteNetwork", "network: 'n'")},
      {"forward", Forward("n", kInput, "records { layer: 'b' spikes: true v_before_reset: true v_after_reset: true }")},
      {"forward_planes", Forward("p", kPlanes, "mask_dtype: DATA_TYPE_BIT step: 0") +
                             Forward("p", kPlanes, "mask_dtype: DATA_TYPE_BIT step: 0")},
      {"monitors",
       Forward("n", kInput, "") + Call<v1::GetNetworkRequest>("GetNetwork",
                                                              "network: 'n' include_monitors: true include_state: true "
                                                              "include_optimizer_state: true include_gradients: true")},
      {"mode", Call<v1::SetTrainingRequest>("SetTraining", "network: 'n' training: true step: 0") +
                   Call<v1::SetThresholdMarginRequest>(
                       "SetThresholdMargin", absl::StrCat("network: 'n' layer: 'f' label_one_hot {", kOneHot, "}")) +
                   Forward("n", kInput, "") + Call<v1::ResetNetRequest>("ResetNet", "network: 'n'")},
      {"backward",
       Forward("n", kInput, "keep_trace: true") + Forward("n", kInput, "keep_trace: true") + Backward() +
           Forward("n", kInput, "keep_trace: true") + Backward() +
           Call<v1::ApplyGradientsRequest>("ApplyGradients", "network: 'n' optimizer { sgd { momentum: 0.5 } }") +
           Call<v1::ZeroGradientsRequest>("ZeroGradients", "network: 'n'")},
      {"backward_layers",
       Forward("n", kInput, "keep_trace: true") +
           Call<v1::BackwardRequest>("Backward",
                                     "network: 'n' layer_gradients { layer: 'b' grad_v_before_reset { "
                                     "dtype: DATA_TYPE_BOOL shape: [2, 3, 3] event_deltas: [0, 3, 9] } }")},
      {"train", TrainStep("losses { count {} } losses { rate {} weight: 0.5 } losses { layer: 'b' similarity {} } "
                          "losses { clusters { t_in: 1 n_d: 2 } } optimizer { adam {} } margin {} step: 0")},
      {"run", Call<v1::RunRequest>("Run", "open { network: 'n' }") + RunMessage("") +
                  Call<v1::ListNetworksRequest>("ListNetworks", "") + RunMessage("reset: true step: 1") +
                  Call<v1::RunRequest>("Run", "")},
      {"run_given_up",
       RunMessage("open { network: 'n' mask_dtype: DATA_TYPE_BIT records { layer: 'b' spikes: true } }")},
      {"stream_clusters",
       Call<v1::StreamSpikeClusterRequest>(
           "StreamSpikeCluster", absl::StrCat("open { v_threshold {", kOne, "} t_in: 2 } v {", kVoltages, "}")) +
           Call<v1::StreamSpikeClusterRequest>("StreamSpikeCluster", absl::StrCat("v {", kVoltages, "}")) +
           Call<v1::StreamSpikeClusterRequest>("StreamSpikeCluster", "")},
      {"stream_first_spikes",
       Call<v1::StreamFirstSpikeIndexRequest>("StreamFirstSpikeIndex", absl::StrCat("open {} spikes {", kSpikes, "}")) +
           Call<v1::StreamFirstSpikeIndexRequest>("StreamFirstSpikeIndex", absl::StrCat("spikes {", kOneHot, "}")) +
           Call<v1::StreamFirstSpikeIndexRequest>("StreamFirstSpikeIndex", "")},
      {"stream_kernel",
       Call<v1::StreamKernelDotProductRequest>("StreamKernelDotProduct", absl::StrCat("open {} y {", kSpikes, "}")) +
           Call<v1::StreamKernelDotProductRequest>("StreamKernelDotProduct", absl::StrCat("x {", kSpikes, "}")) +
           Call<v1::StreamKernelDotProductRequest>("StreamKernelDotProduct", "")},
      {"stream_kernel_self",
       Call<v1::StreamKernelDotProductRequest>(
           "StreamKernelDotProduct", absl::StrCat("open { kernel { gaussian { sigma: 1 } } } y {", kSpikes, "}")) +
           Call<v1::StreamKernelDotProductRequest>("StreamKernelDotProduct", absl::StrCat("y {", kSpikes, "}")) +
           Call<v1::StreamKernelDotProductRequest>("StreamKernelDotProduct", "")},
      {"stream_similar_loss",
       Call<v1::StreamSpikeSimilarLossRequest>(
           "StreamSpikeSimilarLoss",
           absl::StrCat("open { labels {", kOneHot, "} compute_gradient: true } spikes {", kSpikes, "}")) +
           Call<v1::StreamSpikeSimilarLossRequest>("StreamSpikeSimilarLoss",
                                                   absl::StrCat("spikes {", kSpikes, "} again: true")) +
           Call<v1::StreamSpikeSimilarLossRequest>("StreamSpikeSimilarLoss", "")},
      {"train_twice", TrainStep("losses { rate {} } optimizer { sgd { learning_rate: 0.1 } } step: 0") +
                          TrainStep("losses { rate {} } optimizer { adam { weight_decay: 0.1 } } step: 1")},
  };
  for (const auto& [name, bytes] : calls) corpus.Add(name, bytes);
}

void AddNumpyFiles(const Corpus& corpus) {
  const std::vector<float> floats = {1, -0.5f, 3e30f, 0, 2, 7};
  const std::vector<uint8_t> bytes = {0, 1, 2, 255};
  const TensorView matrix(absl::MakeConstSpan(floats), {2, 3}), vector(absl::MakeConstSpan(bytes), {4});
  corpus.Add("matrix.npy", npz::FormatNpy(matrix));
  corpus.Add("vector.npy", npz::FormatNpy(vector));
  corpus.Add("fortran.npy", std::string("\x93NUMPY\1\0\x46\0", 10) +
                                "{'descr': '<f2', 'fortran_order': True, 'shape': (2, 1), }           \n" + "abcd");
  SPIKESERVE_REQUIRE(npz::WriteNpz(corpus.Path("two.npz"), {{"a", matrix}, {"b", vector}}).ok());
}

void AddCheckpoints(const Corpus& checkpoints, const Corpus& state_files) {
  const std::pair<const char*, std::string> networks[] = {
      {"layers", absl::StrCat(kLayers, "format_version: 1")},
      {"planes", absl::StrCat(kPlaneLayers, "format_version: 1")},
      {"state", absl::StrCat(kLayers, kState)},
      {"trained", absl::StrCat("layers { name: 'p' plif_node { p: 0.25 } } format_version: 1 ",
                               "gradients { layer: 'p' parameter: 'p' values { dtype: DATA_TYPE_FLOAT32 values: 2 } } "
                               "optimizer_state { optimizer { adam {} } steps: 1 first_moments { layer: 'p' "
                               "parameter: 'p' values { dtype: DATA_TYPE_FLOAT32 values: 1 } } second_moments { "
                               "layer: 'p' parameter: 'p' values { dtype: DATA_TYPE_FLOAT32 values: 3 } } }")}};
  for (const auto& [name, text] : networks) {
    v1::StoredNetwork stored;
    stored.set_network("0123456789abcdef0123456789abcdef");
    stored.set_next_step(3);
    *stored.mutable_checkpoint() = Text<v1::CreateNetworkRequest>(text);
    checkpoints.Add(absl::StrCat(name, ".pb"), stored.checkpoint().SerializeAsString());
    std::string json;
    SPIKESERVE_REQUIRE(google::protobuf::util::MessageToJsonString(stored.checkpoint(), &json).ok());
    checkpoints.Add(absl::StrCat(name, ".json"), json);
    stored.mutable_last_reply()->set_type("spikeserve.v1.ForwardResponse");
    v1::ForwardResponse reply;
    reply.set_next_step(3);
    *reply.mutable_output() = Text<v1::Tensor>(kSpikes);
    stored.mutable_last_reply()->set_message(reply.SerializeAsString());
    state_files.Add(absl::StrCat(name, ".message"), stored.SerializeAsString());
    state_files.Add(absl::StrCat(name, ".network"), *state::EncodeStateFile(stored));
  }
}

}  // namespace
}  // namespace spikeserve::testing

int main(int argc, char** argv) {
  using namespace spikeserve::testing;
  if (argc != 2) {
    std::cerr << "usage: make_corpus FOLDER\n";
    return 2;
  }
  AddTensors({argv[1], "tensor"});
  AddRequests({argv[1], "request"});
  AddNumpyFiles({argv[1], "npz"});
  AddCheckpoints({argv[1], "checkpoint"}, {argv[1], "state_file"});
  return 0;
}

// Calls of all services: right ones, and those that went wrong.

#include <cstdint>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "fuzz/corpus.h"
#include "fuzz/fuzzing.h"
#include "spikeserve/v1/functions.pb.h"
#include "spikeserve/v1/networks.pb.h"
#include "spikeserve/v1/shared_memory.pb.h"
#include "spikeserve/v1/streams.pb.h"
#include "spikeserve/v1/training.pb.h"

namespace spikeserve::testing {
namespace {

constexpr char kVoltages[] = "dtype: DATA_TYPE_FLOAT32 shape: [4, 2] values: [0.5, 1, 1, 0.2, -1, 1.5, 2, 0]";
constexpr char kOne[] = "dtype: DATA_TYPE_FLOAT32 shape: 1 values: 1";
constexpr char kLabels[] = "dtype: DATA_TYPE_INT64 shape: 3 values: [0, 1, 1]";
constexpr char kOneHot[] = "dtype: DATA_TYPE_BIT shape: [3, 2] data: '\\1\\2\\2'";
// Inputs of the networks "n" and "p", two steps of three samples.
constexpr char kInput[] =
    "dtype: DATA_TYPE_FLOAT32 shape: [2, 3, 2] values: [1, 2, 0.5, 3, 1, 0, 4, 1, 0.5, 0.25, 2, 2]";
constexpr char kPlanes[] = "dtype: DATA_TYPE_BIT shape: [2, 1, 1, 4, 4] data: '\\5\\2\\x0f\\0\\1\\2\\4\\x8'";

template <typename Request>
std::string Call(const char* method, const std::string& text, Padding padding = Padding::kNone) {
  return FuzzCall(method, Text<Request>(text).SerializeAsString(), padding);
}

std::string Repeated(const std::string& text, int times) {
  std::string all;
  for (int i = 0; i < times; ++i) all += text;
  return all;
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

void AddRightRequests(const Corpus& corpus) {
  const std::string v = absl::StrCat("v {", kVoltages, "} v_threshold {", kOne, "} ");
  const std::string x = absl::StrCat("x {", kSpikes, "} ");
  const std::pair<const char*, std::string> calls[] = {
      {"spike_cluster", Call<v1::SpikeClusterRequest>("SpikeCluster", v + "t_in: 1 mask_dtype: DATA_TYPE_BIT")},
      {"spike_cluster_index",
       Call<v1::SpikeClusterRequest>("SpikeCluster", v + "index_output: true rule: CLUSTER_RULE_DEFINITION v_min: -1")},
      {"stca_loss", Call<v1::StcaLossRequest>("StcaLoss", v + "n_d { dtype: DATA_TYPE_INT32 shape: 2 values: [1, 2] } "
                                                              "compute_gradient: true")},
      {"kernel", Call<v1::KernelDotProductRequest>("KernelDotProduct", x + "kernel { linear {} }")},
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
       Forward("n", kInput, "keep_trace: true") + Backward() + Forward("n", kInput, "keep_trace: true") + Backward() +
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
       Call<v1::StreamKernelDotProductRequest>("StreamKernelDotProduct",
                                               absl::StrCat("open { kernel { linear {} } } y {", kSpikes, "}")) +
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
           absl::StrCat("open { labels {", kOneHot,
                        "} kernel { linear {} } loss_type: LOSS_TYPE_MSE compute_gradient: true } "
                        "spikes {",
                        kSpikes, "}")) +
           Call<v1::StreamSpikeSimilarLossRequest>("StreamSpikeSimilarLoss",
                                                   absl::StrCat("spikes {", kSpikes, "} again: true")) +
           Call<v1::StreamSpikeSimilarLossRequest>("StreamSpikeSimilarLoss", "")},
      {"train_twice", TrainStep("losses { rate {} } optimizer { sgd { learning_rate: 0.1 } } step: 0") +
                          TrainStep("losses { rate {} } optimizer { adam { weight_decay: 0.1 } } step: 1")},
  };
  for (const auto& [name, bytes] : calls) corpus.Add(name, bytes);
}

std::string FirstSpike(const char* spikes, const char* more = "index_output: true", Padding padding = Padding::kNone) {
  return Call<v1::FirstSpikeIndexRequest>("FirstSpikeIndex", absl::StrCat("spikes {", spikes, "} ", more), padding);
}

std::string Clusters(const char* v, const char* more, Padding padding = Padding::kNone) {
  return Call<v1::SpikeClusterRequest>("SpikeCluster",
                                       absl::StrCat("v {", v, "} v_threshold {", kOne, "} t_in: 1 ", more), padding);
}

std::string Kernels(const char* x, const char* more = "kernel { linear {} }") {
  return Call<v1::KernelDotProductRequest>("KernelDotProduct", absl::StrCat("x {", x, "} ", more));
}

// Tensors without elements whose other lengths are large: as large as a server's limits allow by default, and as those
// here do.
void AddZeroLengths(const Corpus& corpus) {
  constexpr char kManyRows[] = "dtype: DATA_TYPE_BOOL shape: [131072, 0]";
  constexpr char kManyColumns[] = "dtype: DATA_TYPE_FLOAT32 shape: [0, 32768]";
  const std::string v = absl::StrCat("v {", kManyColumns, "} ");
  const std::pair<const char*, std::string> calls[] = {
      {"first_spike", FirstSpike("dtype: DATA_TYPE_BOOL shape: [1073741824, 0]") + FirstSpike(kManyRows) +
                          FirstSpike(kManyRows, "mask_dtype: DATA_TYPE_BIT") +
                          FirstSpike("dtype: DATA_TYPE_BIT shape: [2048, 0]")},
      {"kernel", Kernels("dtype: DATA_TYPE_FLOAT32 shape: [8191, 0]") +
                     Kernels("dtype: DATA_TYPE_BOOL shape: [8191, 0]") +
                     Kernels("dtype: DATA_TYPE_FLOAT32 shape: [181, 0]") +
                     Kernels("dtype: DATA_TYPE_BIT shape: [181, 0]", "kernel { gaussian { sigma: 2 } }") +
                     Kernels("dtype: DATA_TYPE_FLOAT32 shape: [0, 32768]", "kernel { sigmoid { alpha: 1 } }") +
                     Kernels(kManyRows, "y { dtype: DATA_TYPE_FLOAT32 shape: [0, 0] } kernel { linear {} }")},
      {"kernel_vjp",
       Call<v1::KernelDotProductVjpRequest>("KernelDotProductVjp",
                                            "x { dtype: DATA_TYPE_FLOAT32 shape: [181, 0] } kernel { linear {} } "
                                            "grad_output { dtype: DATA_TYPE_BOOL shape: [181, 181] }")},
      {"spike_cluster", Clusters("dtype: DATA_TYPE_FLOAT32 shape: [0, 268435456]", "index_output: true") +
                            Clusters(kManyColumns, "index_output: true") +
                            Clusters("dtype: DATA_TYPE_FLOAT32 shape: [0, 2048]", "index_output: true") +
                            Clusters(kManyColumns, "mask_dtype: DATA_TYPE_BIT rule: CLUSTER_RULE_DEFINITION")},
      {"stca_loss", Call<v1::StcaLossRequest>("StcaLoss", absl::StrCat(v, "v_threshold {", kOne, "} n_d {", kOne,
                                                                       "} t_in: 1 compute_gradient: true"))},
      {"similar_loss",
       Call<v1::SpikeSimilarLossRequest>("SpikeSimilarLoss",
                                         "spikes { dtype: DATA_TYPE_BOOL shape: [16, 0] } "
                                         "labels { dtype: DATA_TYPE_BIT shape: [16, 0] } kernel { linear {} } "
                                         "loss_type: LOSS_TYPE_L1 compute_gradient: true")},
      {"one_hot", Call<v1::RedundantOneHotRequest>("RedundantOneHot",
                                                   "labels { dtype: DATA_TYPE_INT64 shape: 0 } "
                                                   "num_classes: 1099511627776 n: 1048576")},
      {"margin", Call<v1::ThresholdMarginRequest>(
                     "ThresholdMargin", "label_one_hot { dtype: DATA_TYPE_BIT shape: [8192, 0] } training: true")},
      {"forward", Forward("n", "dtype: DATA_TYPE_FLOAT32 shape: [16384, 0, 2]", "keep_trace: true") +
                      Forward("n", "dtype: DATA_TYPE_FLOAT32 shape: [16384, 0, 2]", "") +
                      Forward("n", "dtype: DATA_TYPE_FLOAT32 shape: [0, 16384, 2]", "") +
                      Forward("p", "dtype: DATA_TYPE_BIT shape: [1, 0, 1, 4, 4]", "")},
      // It was shown so often that the call did not end.
      {"repeated_input",
       Call<v1::TrainStepRequest>(
           "TrainStep",
           "network: 'n' input { dtype: DATA_TYPE_FLOAT32 shape: [0, 2] } labels { dtype: DATA_TYPE_INT64 "
           "shape: 0 } num_classes: 2 losses { rate {} } optimizer { adam {} } "
           "repeat_input: 4611686018427387904")},
      {"streams", Call<v1::StreamFirstSpikeIndexRequest>(
                      "StreamFirstSpikeIndex", absl::StrCat("open { index_output: true } spikes {", kManyRows, "}")) +
                      Call<v1::StreamFirstSpikeIndexRequest>("StreamFirstSpikeIndex", "") +
                      Call<v1::StreamSpikeClusterRequest>(
                          "StreamSpikeCluster", absl::StrCat("open { v_threshold {", kOne, "} t_in: 1 } ", v)) +
                      Call<v1::StreamSpikeClusterRequest>("StreamSpikeCluster", "") +
                      Call<v1::StreamKernelDotProductRequest>(
                          "StreamKernelDotProduct",
                          "open { kernel { linear {} } } y { dtype: DATA_TYPE_FLOAT32 shape: [8191, 0] }") +
                      Call<v1::StreamKernelDotProductRequest>("StreamKernelDotProduct", "")},
  };
  for (const auto& [name, bytes] : calls) corpus.Add(absl::StrCat("zero_length_", name), bytes);
}

// Requests of few bytes that became much before a limit knew of it, or were kept uncounted.
void AddMuchOfLittle(const Corpus& corpus) {
  using std::string_literals::operator""s;
  // `training`, a bool, as a group and as 4 bytes; `layers`, messages, as groups: Protobuf keeps them as unknown
  // fields.
  const std::string mistyped = Repeated("\x13\x14\x15\0\0\0\0\x0b\x0c"s, 100);
  // Fields that no message has, of each kind.
  const std::string unknown = Repeated(
      "\xa0\x06\x05\xa2\x06\x03"
      "abc\xa5\x06"
      "1234\xa3\x06\x08\x01\xa4\x06"s,
      20);
  v1::FirstSpikeIndexRequest few_events;
  *few_events.mutable_spikes() = Text<v1::Tensor>("dtype: DATA_TYPE_BOOL shape: [4, 9] event_deltas: [1, 1, 1]");
  const std::string spikes_again = "\x0a\x06\x2a\x04\1\1\1\1";
  const std::string open = Text<v1::RunRequest>("open { network: 'n' }").SerializeAsString();
  constexpr char kOneEvent[] = "dtype: DATA_TYPE_BOOL shape: [16, 2048] event_deltas: 32767";
  const std::string empty_layers = Repeated("\x0a\0"s, 480);
  const std::pair<const char*, std::string> calls[] = {
      {"fields_of_another_type", FuzzCall("CreateNetwork", mistyped)},
      {"fields_of_another_type_large", FuzzCall("CreateNetwork", mistyped, Padding::kLarge)},
      {"unknown_fields_large",
       FuzzCall("FirstSpikeIndex", unknown + few_events.SerializeAsString(), Padding::kLargeTensor)},
      // A stream kept these as long as it was open.
      {"unknown_fields_of_a_stream", FuzzCall("Run", open + unknown, Padding::kLarge) + RunMessage("")},
      {"records_of_a_stream",
       Call<v1::RunRequest>(
           "Run",
           absl::StrCat("open { network: 'n' ", Repeated("records { layer: 'b' v_after_reset: true } ", 50), "}"),
           Padding::kOverSmallRequest) +
           RunMessage("")},
      {"tensor_in_many_occurrences",
       FuzzCall("FirstSpikeIndex", few_events.SerializeAsString() + Repeated(spikes_again, 100))},
      {"tensor_in_many_occurrences_large",
       FuzzCall("FirstSpikeIndex", few_events.SerializeAsString() + Repeated(spikes_again, 100),
                Padding::kLargeTensor)},
      {"empty_layers", FuzzCall("CreateNetwork", empty_layers)},
      {"empty_layers_large", FuzzCall("CreateNetwork", empty_layers, Padding::kLarge)},
      {"event_of_many_elements",
       Kernels("dtype: DATA_TYPE_BOOL shape: [8, 16384] event_deltas: 131071", "kernel { gaussian { sigma: 2 } }") +
           FirstSpike("dtype: DATA_TYPE_BOOL shape: [1024, 128] event_deltas: 131071", "mask_dtype: DATA_TYPE_BIT") +
           FirstSpike("dtype: DATA_TYPE_BOOL shape: [1, 1073741824] event_deltas: 1073741823")},
      // A stream keeps y as its products want it, which is more than what came.
      {"samples_that_a_stream_keeps",
       Call<v1::StreamKernelDotProductRequest>("StreamKernelDotProduct",
                                               absl::StrCat("open { kernel { linear {} } } y {", kOneEvent, "}")) +
           Repeated(
               Call<v1::StreamKernelDotProductRequest>("StreamKernelDotProduct", absl::StrCat("y {", kOneEvent, "}")),
               3) +
           Call<v1::StreamKernelDotProductRequest>(
               "StreamKernelDotProduct", "x { dtype: DATA_TYPE_FLOAT32 shape: [1, 2048] event_deltas: 2047 }") +
           Call<v1::StreamKernelDotProductRequest>("StreamKernelDotProduct", "")},
      {"steps_that_a_stream_keeps",
       Call<v1::StreamSpikeClusterRequest>(
           "StreamSpikeCluster", absl::StrCat("open { v_threshold {", kOne, "} t_in: 1000 } v {", kVoltages, "}")) +
           Repeated(Call<v1::StreamSpikeClusterRequest>("StreamSpikeCluster", absl::StrCat("v {", kVoltages, "}")), 6) +
           Call<v1::StreamSpikeClusterRequest>("StreamSpikeCluster", "")},
      // Together they take more than a network may, of which each takes little.
      {"many_small_tensors",
       Call<v1::CreateNetworkRequest>(
           "CreateNetwork",
           absl::StrCat("layers { name: 'p' plif_node {} } ",
                        Repeated("gradients { layer: 'p' parameter: 'p' values { dtype: DATA_TYPE_FLOAT32 "
                                 "shape: [64, 64] event_deltas: 4095 } } ",
                                 35)))},
      {"layer_many_times",
       Forward("n", kInput, "keep_trace: true") +
           Call<v1::BackwardRequest>(
               "Backward",
               absl::StrCat("network: 'n' ", Repeated("layer_gradients { layer: 'b' grad_v_before_reset { dtype: "
                                                      "DATA_TYPE_BIT shape: [2, 3, 3] event_deltas: [0, 3, 9] } }",
                                                      25)))},
      {"large_window", Call<v1::CreateNetworkRequest>("CreateNetwork",
                                                      "layers { avg_pool2d { kernel: 1073741824 stride: 1 "
                                                      "padding: 536870912 } } layers { max_pool2d { kernel: "
                                                      "2147483647 } }")},
  };
  for (const auto& [name, bytes] : calls) corpus.Add(name, bytes);
}

// Other requests that went wrong, or that were taken for what they are not.
void AddFindings(const Corpus& corpus) {
  using std::string_literals::operator""s;
  constexpr char kPaddingBits[] = "dtype: DATA_TYPE_BIT shape: [3, 3] data: '\\xf8\\xfa\\xff'";
  const std::pair<const char*, std::string> calls[] = {
      {"padding_bits", FirstSpike(kPaddingBits) + Kernels(kPaddingBits) +
                           Call<v1::ThresholdMarginRequest>(
                               "ThresholdMargin", absl::StrCat("label_one_hot {", kPaddingBits, "} training: true")) +
                           Forward("n", "dtype: DATA_TYPE_BIT shape: [1, 2, 2] data: '\\xfe\\xfd'", "")},
      // Protobuf wrote a line to stderr for each of these.
      {"name_that_is_no_text", FuzzCall("GetNetwork", "\x0a\2n\xff") + FuzzCall("Run", "\x0a\4\x0a\2n\xff")},
      {"absent_tensors", FuzzCall("FirstSpikeIndex", "") + FuzzCall("SpikeCluster", "") + FuzzCall("StcaLoss", "") +
                             FuzzCall("KernelDotProductVjp", "") + FuzzCall("RedundantOneHot", "")},
      {"scalars", FirstSpike("dtype: DATA_TYPE_BOOL data: '\\1'") + Kernels("dtype: DATA_TYPE_FLOAT32 values: 1") +
                      Clusters("dtype: DATA_TYPE_FLOAT64 values: 1", "")},
      // Of the right number of elements, and steps.
      {"gradient_of_another_shape",
       Forward("n", kInput, "keep_trace: true") +
           Call<v1::BackwardRequest>("Backward",
                                     "network: 'n' grad_output { dtype: DATA_TYPE_FLOAT32 shape: [2, 2, 3] "
                                     "values: [1, 0, 0, 1, -1, 1, 0, 0.5, 1, 1, 0, 0] }")},
      {"cut_off", FuzzCall("SpikeCluster", "\x0a\5xx") + FuzzCall("SpikeCluster", "\x0a\5xx", Padding::kLarge) +
                      FuzzCall("FirstSpikeIndex", "\x0a\2\x1a\5")},
      {"groups_without_end", FuzzCall("KernelDotProduct", std::string(200, '\x0b')) +
                                 FuzzCall("CreateNetwork", std::string(200, '\x0b'), Padding::kLarge) +
                                 FuzzCall("KernelDotProduct", "\x0c"s)},
  };
  for (const auto& [name, bytes] : calls) corpus.Add(name, bytes);
}

std::string Shared(const char* header, uint64_t offset, uint64_t size) {
  return absl::StrCat(header, " shared { handle: '", kSharedMemory, "' offset: ", offset, " size: ", size, " }");
}

// The first half of the memory are bytes of 0 and 1, the second half are floats.
void AddSharedMemory(const Corpus& corpus) {
  constexpr char kFloats[] = "dtype: DATA_TYPE_FLOAT32 shape: [4, 2]", kBits[] = "dtype: DATA_TYPE_BIT shape: [3, 9]";
  const std::string in_place = FirstSpike(Shared(kBits, 1, 6).c_str()) +
                               Clusters(Shared(kFloats, 2048, 32).c_str(), "index_output: true") +
                               Clusters(Shared(kFloats, 2051, 32).c_str(), "", Padding::kOverSmallRequest);
  const std::string offer = FuzzOffer(Text<v1::ResultMemory>("pieces { handle: 'm' offset: 64 size: 40 } "
                                                             "pieces { handle: 'm' offset: 3000 size: 1000 } "
                                                             "pieces { handle: 'm' offset: 4095 size: 2 }")
                                          .SerializeAsString());
  const std::pair<const char*, std::string> calls[] = {
      {"in_place", in_place},
      {"copied", FirstSpike(Shared("dtype: DATA_TYPE_BOOL shape: [3, 9]", 0, 27).c_str()) +
                     Kernels(Shared(kFloats, 4064, 32).c_str())},
      {"beyond", FirstSpike(Shared(kBits, 4091, 6).c_str()) + FirstSpike(Shared(kBits, ~uint64_t{0}, 6).c_str()) +
                     FirstSpike(Shared(kBits, 0, 7).c_str())},
      {"unknown", FirstSpike("dtype: DATA_TYPE_BIT shape: 8 shared { handle: 'x' size: 1 }")},
      {"empty", FirstSpike(Shared("dtype: DATA_TYPE_BIT shape: [1024, 0]", 4096, 0).c_str())},
      {"results", offer + in_place},
      {"forward", offer + Forward("n", Shared("dtype: DATA_TYPE_FLOAT32 shape: [2, 3, 2]", 2048, 48).c_str(),
                                  "keep_trace: true records { layer: 'b' spikes: true }")},
      {"nested", Call<v1::CreateNetworkRequest>(
                     "CreateNetwork", absl::StrCat("layers { linear { weight {", Shared(kFloats, 2048, 32), "} } }"))},
      {"stream", Call<v1::StreamFirstSpikeIndexRequest>("StreamFirstSpikeIndex",
                                                        absl::StrCat("open {} spikes {", Shared(kBits, 0, 6), "}"))},
  };
  for (const auto& [name, bytes] : calls) corpus.Add(absl::StrCat("shared_memory_", name), bytes);
}

// Right calls and streams of large messages.
void AddPadded(const Corpus& corpus) {
  const std::pair<const char*, Padding> paddings[] = {{"over_small_request", Padding::kOverSmallRequest},
                                                      {"large", Padding::kLarge},
                                                      {"large_tensor", Padding::kLargeTensor}};
  const auto run = absl::StrCat("input {", kInput, "}"), first_spikes = absl::StrCat("spikes {", kSpikes, "}");
  for (const auto& [name, padding] : paddings) {
    corpus.Add(absl::StrCat("calls_", name),
               Clusters(kVoltages, "", padding) + FirstSpike(kSpikes, "", padding) +
                   Call<v1::CreateNetworkRequest>("CreateNetwork", kPlaneLayers, padding) +
                   Call<v1::ForwardRequest>("Forward", "network: 'n' " + run, padding));
    corpus.Add(absl::StrCat("streams_", name),
               Call<v1::RunRequest>("Run", "open { network: 'n' } " + run, padding) +
                   Call<v1::RunRequest>("Run", run, padding) + FuzzCall("Run", "") +
                   Call<v1::StreamFirstSpikeIndexRequest>("StreamFirstSpikeIndex", "open {} " + first_spikes, padding) +
                   Call<v1::StreamFirstSpikeIndexRequest>("StreamFirstSpikeIndex", first_spikes, padding) +
                   FuzzCall("StreamFirstSpikeIndex", ""));
  }
}

}  // namespace

void AddRequests(const Corpus& corpus) {
  AddRightRequests(corpus);
  AddZeroLengths(corpus);
  AddMuchOfLittle(corpus);
  AddFindings(corpus);
  AddSharedMemory(corpus);
  AddPadded(corpus);
}

}  // namespace spikeserve::testing

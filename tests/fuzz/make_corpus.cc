// Writes the seeds of the fuzz targets: make_corpus FOLDER. They are small right inputs of every kind, from which the
// fuzzer makes wrong ones, and small ones of each kind that went wrong once, whoever found it: those are named for what
// they are, and ordinary tests run them. What a fuzzer finds is added to them.

#include <iostream>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "fuzz/corpus.h"
#include "fuzz/fuzzing.h"
#include "google/protobuf/util/json_util.h"
#include "spikeserve/v1/networks.pb.h"
#include "spikeserve/v1/stored_network.pb.h"
#include "spikeserve/v1/tensor.pb.h"
#include "state/state_file.h"
#include "support/stored_networks.h"

namespace spikeserve::testing {
namespace {

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
      // A byte's bits behind a row's last one may be anything, and are no elements.
      {"padding_bits", "dtype: DATA_TYPE_BIT shape: [2, 9] data: '\\x0f\\xff\\xf0\\xfe'"},
      // Shapes that make much of nothing.
      {"zero_length_last", "dtype: DATA_TYPE_BOOL shape: [1073741824, 0]"},
      {"zero_length_last_small", "dtype: DATA_TYPE_BOOL shape: [262144, 0]"},
      {"zero_length_first", "dtype: DATA_TYPE_FLOAT32 shape: [0, 268435456]"},
      {"zero_length_first_small", "dtype: DATA_TYPE_FLOAT32 shape: [0, 65536]"},
      {"zero_length_rows_of_bits", "dtype: DATA_TYPE_BIT shape: [2048, 0]"},
      {"overflow", "dtype: DATA_TYPE_BIT shape: [4294967296, 4294967296]"},
      {"overflow_beside_zero", "dtype: DATA_TYPE_FLOAT64 shape: [4611686018427387904, 4, 0]"},
      {"negative_length", "dtype: DATA_TYPE_UINT8 shape: [-1, -1] data: '\\1'"},
      // Events beyond the last element, and twice at the same.
      {"event_beyond", "dtype: DATA_TYPE_BIT shape: [3, 9] event_deltas: [26, 1]"},
      {"event_overflow", "dtype: DATA_TYPE_BOOL shape: 9 event_deltas: [1, 18446744073709551615]"},
      {"event_twice", "dtype: DATA_TYPE_BOOL shape: 9 event_deltas: [1, 0]"},
      {"event_of_many_elements", "dtype: DATA_TYPE_BOOL shape: [512, 512] event_deltas: 262143"},
      {"two_forms", "dtype: DATA_TYPE_UINT8 shape: 1 data: '\\1' values: 1"},
      {"not_held", "dtype: DATA_TYPE_INT64 shape: 2 values: [9223372036854775808, nan]"},
      {"shared", "dtype: DATA_TYPE_FLOAT32 shape: [2, 2] shared { handle: 'm' offset: 2048 size: 16 }"},
  };
  for (const auto& [name, text] : tensors) {
    const std::string tensor = Text<v1::Tensor>(text).SerializeAsString();
    for (int accept = 0; accept < 4; ++accept) {
      corpus.Add(absl::StrCat(name, ".", accept), static_cast<char>(accept + 4 * (accept % 3)) + tensor);
    }
  }
}

// Files that are not as they were written, or of another server.
void AddStateFiles(const Corpus& corpus) {
  v1::StoredNetwork stored = OneStoredNeuron(/*next_step=*/1);
  const std::string right = *state::EncodeStateFile(stored);
  corpus.Add("one_neuron.network", right);
  corpus.Add("cut_off.network", right.substr(0, right.size() - 1));
  std::string flipped = right;
  flipped.back() ^= 1;
  corpus.Add("flipped.network", flipped);
  const std::pair<const char*, std::string> names[] = {
      {"of_another_name", std::string(32, 'f')}, {"of_no_name", ""}, {"of_a_path", "../" + std::string(29, 'f')}};
  for (const auto& [name, network] : names) {
    corpus.Add(absl::StrCat(name, ".network"), *state::EncodeStateFile(OneStoredNeuron(1, network)));
    corpus.Add(absl::StrCat(name, ".message"), OneStoredNeuron(1, network).SerializeAsString());
  }
  stored.mutable_last_reply()->set_type("google.protobuf.FileDescriptorSet");
  stored.mutable_last_reply()->set_message("\x0a");
  corpus.Add("reply_of_no_call.message", stored.SerializeAsString());
  stored.mutable_checkpoint()->set_format_version(1000);
  corpus.Add("of_another_version.message", stored.SerializeAsString());
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
  AddStateFiles({argv[1], "state_file"});
  AddCheckpoints({argv[1], "checkpoint"}, {argv[1], "state_file"});
  return 0;
}

// Where the seeds of the fuzz targets are written to, and what writes them.

#ifndef SPIKESERVE_TESTS_FUZZ_CORPUS_H_
#define SPIKESERVE_TESTS_FUZZ_CORPUS_H_

#include <filesystem>
#include <fstream>
#include <string>

#include "fuzz/fuzzing.h"
#include "google/protobuf/text_format.h"

namespace spikeserve::testing {

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

// Of a target each; all that there is of it in request_corpus.cc and numpy_corpus.cc.
void AddRequests(const Corpus& corpus);
void AddNumpyFiles(const Corpus& corpus);

// Tensors and networks that seeds of several targets have.
inline constexpr char kSpikes[] = "dtype: DATA_TYPE_BOOL shape: [3, 4] event_deltas: [0, 2, 3, 5]";
inline const char* const kLayers =
    "layers { name: 'fc' linear { weight { dtype: DATA_TYPE_FLOAT32 shape: [2, 2] values: [1, 0.5, 0, 1] } "
    "bias { dtype: DATA_TYPE_FLOAT32 shape: 2 values: [0, 0.5] } } } "
    "layers { lif_node { tau: 2 v_threshold: 0.5 surrogate { sign_swish { beta: 2 } } } } "
    "layers { low_pass_synapse { learnable: true } } layers { dropout { p: 0.25 seed: 3 } } "
    "layers { name: 'out' rif_node { amplitude_range { lo: -1 hi: 1 } init_w: 0.5 soft_reset: true } } ";
inline const char* const kPlaneLayers =
    "layers { conv2d { weight { dtype: DATA_TYPE_FLOAT32 shape: [2, 1, 2, 2] values: [1, 0, 0, 1, 1, 1, 0, 0] } "
    "padding: 1 stride: [2, 1] } } layers { batch_norm2d { num_features: 2 } } layers { max_pool2d { kernel: 2 } } "
    "layers { avg_pool2d { kernel: [1, 2] } } layers { flatten {} } layers { plif_node { monitor: true } } ";
inline const char* const kState =
    "training: true format_version: 1 state { sample_shape: [1, 2] "
    "layers { layer: '1' v { dtype: DATA_TYPE_FLOAT32 shape: 2 values: [0.25, -1] } } "
    "layers { layer: '2' current { dtype: DATA_TYPE_FLOAT32 shape: 2 values: [1, 0] } } "
    "layers { layer: '3' masks_drawn: 2 mask { dtype: DATA_TYPE_FLOAT32 shape: 2 values: [0, 1.3333334] } } } ";

}  // namespace spikeserve::testing

#endif  // SPIKESERVE_TESTS_FUZZ_CORPUS_H_

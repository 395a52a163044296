#include "support/golden.h"

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "npz/npz.h"

namespace spikeserve::testing {
namespace {

[[noreturn]] void Die(std::string_view message) {
  std::cerr << "golden cases: " << message << std::endl;
  std::exit(1);
}

// Moves the arrays that the manifest's `members` names out of `arrays`, and checks that they are what it says.
std::map<std::string, Tensor> Take(const nlohmann::json& members, std::map<std::string, Tensor>& arrays) {
  std::map<std::string, Tensor> taken;
  for (const auto& [name, entry] : members.items()) {
    const std::string member = entry.at("member");
    auto found = arrays.extract(member);
    if (found.empty()) Die("no array " + member);
    Tensor& tensor = found.mapped();
    const auto lengths = entry.at("shape").get<std::vector<int64_t>>();
    const Shape shape(lengths.begin(), lengths.end());
    // The archives hold the manifest's scalars as arrays of one element.
    if (shape.empty() && tensor.shape() == Shape{1}) {
      Tensor scalar(tensor.dtype(), shape);
      std::memcpy(scalar.data(), tensor.data(), tensor.byte_size());
      tensor = std::move(scalar);
    }
    const std::string_view dtype = DataTypeName(tensor.dtype());
    if (tensor.shape() != shape || entry.at("dtype") != absl::AsciiStrToLower({dtype.data(), dtype.size()})) {
      Die("another dtype or shape than the manifest's: " + member);
    }
    taken.emplace(name, std::move(tensor));
  }
  return taken;
}

}  // namespace

std::vector<GoldenCase> GoldenCases(std::string_view file_stem) {
  const std::string directory = SPIKESERVE_GOLDEN_DIR;
  const nlohmann::json manifest =
      nlohmann::json::parse(std::ifstream(directory + "/manifest.json"), nullptr, /*allow_exceptions=*/false);
  if (!manifest.is_object()) Die("manifest.json is broken");
  absl::StatusOr<std::map<std::string, Tensor>> arrays =
      npz::ReadNpz(directory + "/" + std::string(file_stem) + ".npz");
  if (!arrays.ok()) Die(arrays.status().ToString());

  std::vector<GoldenCase> cases;
  for (const nlohmann::json& entry : manifest.at("cases")) {
    if (entry.at("function") != file_stem) continue;
    cases.push_back(
        {entry.at("case"), entry.at("params"), Take(entry.at("inputs"), *arrays), Take(entry.at("outputs"), *arrays)});
  }
  if (cases.empty()) Die("none of " + std::string(file_stem));
  return cases;
}

}  // namespace spikeserve::testing

// What a command found: shown as a summary or as JSON, its arrays written to a file.

#ifndef SPIKESERVE_CLI_REPORT_H_
#define SPIKESERVE_CLI_REPORT_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "nlohmann/json.hpp"
#include "spikeserve/compute/tensor.h"

namespace spikeserve::cli {

using Json = nlohmann::ordered_json;

// The rows as lines with aligned columns. The last cell of a row, and a very long one, may be wider than its column; a
// row of one cell is a line, or some, as it is. What servers and files have named is printable then: see printable.h.
std::string Table(std::vector<std::vector<std::string>> rows);

class Report {
 public:
  // An array: in the summary its dtype, shape and range (few elements: themselves), in JSON its dtype, shape and
  // elements, row-major. JSON says {"elided": true} in place of more than 1000 elements.
  void AddArray(std::string name, Tensor array);

  // A result that is one number. Archives hold it as an array without dimensions.
  void AddNumber(std::string name, float value);

  // Shown only.
  void AddValue(std::string name, Json value);

  // Shown only: `value` in JSON, `text` (lines, without the name) in the summary.
  void AddText(std::string name, Json value, std::string text);

  // In JSON only.
  void AddJson(std::string name, Json value) { json_[std::move(name)] = std::move(value); }

  // What the program exits with when it has shown the report; 0 by default.
  void SetExitCode(int exit_code) { exit_code_ = exit_code; }
  int exit_code() const { return exit_code_; }

  // Writes the arrays to "FILE.npz" by name or, where there is just one (numbers apart), to "FILE.npy".
  absl::Status WriteArrays(const std::string& path) const;

  // Lines.
  std::string Summary() const { return Table(rows_); }
  std::string ToJson() const;

 private:
  struct NamedArray {
    std::string name;
    Tensor array;
    bool is_number;
  };

  std::vector<NamedArray> arrays_;
  std::vector<std::vector<std::string>> rows_;
  Json json_ = Json::object();
  int exit_code_ = 0;
};

}  // namespace spikeserve::cli

#endif  // SPIKESERVE_CLI_REPORT_H_

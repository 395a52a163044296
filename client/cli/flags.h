// Options that several commands have.

#ifndef SPIKESERVE_CLI_FLAGS_H_
#define SPIKESERVE_CLI_FLAGS_H_

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "spikeserve/compute/data_type.h"
#include "spikeserve/compute/kernel.h"
#include "spikeserve/compute/tensor.h"
#include "spikeserve/compute/threshold_margin.h"

namespace spikeserve::cli {

// An option whose value is one of `choices`, each a word and what it stands for. Shows the word of the present value as
// the default.
template <typename T>
CLI::Option* AddChoice(CLI::App& app, const std::string& name, T& value,
                       const std::vector<std::pair<std::string, T>>& choices, const std::string& help) {
  const std::string words = absl::StrJoin(choices, "|", [](std::string* out, const auto& c) { out->append(c.first); });
  const auto set = [&value, choices, name, words](const std::string& word) {
    for (const auto& [choice, meaning] : choices) {
      if (choice != word) continue;
      value = meaning;
      return;
    }
    throw CLI::ValidationError(name, absl::StrCat("got ", word, "; need ", words));
  };
  CLI::Option* option = app.add_option_function<std::string>(name, set, help)->type_name(words);
  for (const auto& [choice, meaning] : choices) {
    if (meaning == value) option->default_str(choice);
  }
  return option;
}

// Which masks commands return: bits are fewer bytes to transfer, files hold bool in either case.
CLI::Option* AddMaskDtype(CLI::App& app, DataType& dtype);

// -o: `path`, which must end like one of `endings`.
CLI::Option* AddOutput(CLI::App& app, std::string& path, const std::vector<std::string>& endings,
                       const std::string& help);

// An array that a file holds: FILE.npy, FILE.npz:NAME, or FILE.npz of one array.
class ArrayFlag {
 public:
  CLI::Option* AddTo(CLI::App& app, const std::string& name, const std::string& help);
  bool given() const { return !spec_.empty(); }
  // Errors name the option.
  absl::StatusOr<Tensor> Read() const;

 protected:
  std::string name_;
  std::string spec_;
};

// The same, or a number.
class NumberOrArrayFlag : public ArrayFlag {
 public:
  CLI::Option* AddTo(CLI::App& app, const std::string& name, const std::string& help);
  absl::StatusOr<Tensor> Read() const;
};

// --kernel and its parameter.
class KernelFlags {
 public:
  void AddTo(CLI::App& app);
  // UsageError for a parameter that is missing, or another kernel's.
  absl::StatusOr<Kernel> Get() const;

 private:
  std::string name_;
  std::optional<double> d_, alpha_, sigma_;
};

// --label-one-hot and the thresholds.
struct ThresholdMarginFlags {
  void AddTo(CLI::App& app);

  ArrayFlag label_one_hot;
  ThresholdMarginOptions options;
};

}  // namespace spikeserve::cli

#endif  // SPIKESERVE_CLI_FLAGS_H_

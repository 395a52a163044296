#include "cli/records.h"

#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "cli/caller.h"
#include "status_macros.h"

namespace spikeserve::cli {
namespace {

// Parses "LAYER:PART,PART"; a layer's name may hold colons.
absl::StatusOr<RecordRequest> ParseRecord(const std::string& text) {
  const auto error = [&] {
    return UsageError(
        absl::StrCat("--record: got ", text, "; need LAYER:PART,..., PART spikes, v_before_reset or v_after_reset"));
  };
  const size_t colon = text.rfind(':');
  if (colon == text.npos || colon == 0) return error();
  RecordRequest request{text.substr(0, colon)};
  const std::pair<absl::string_view, bool&> parts[] = {
      {"spikes", request.spikes}, {"v_before_reset", request.v_before_reset}, {"v_after_reset", request.v_after_reset}};
  for (const absl::string_view word : absl::StrSplit(absl::string_view(text).substr(colon + 1), ',')) {
    bool known = false;
    for (const auto& [part, wanted] : parts) {
      if (part == word) known = wanted = true;
    }
    if (!known) return error();
  }
  return request;
}

}  // namespace

void RecordFlag::AddTo(CLI::App& app) {
  app.add_option("--record", records_,
                 "Return of a spiking layer its spikes, v_before_reset, v_after_reset;\nmay be repeated")
      ->type_name("LAYER:PART,...")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
}

absl::StatusOr<std::vector<RecordRequest>> RecordFlag::Get() const {
  std::vector<RecordRequest> records;
  for (const std::string& text : records_) {
    SPIKESERVE_ASSIGN_OR_RETURN(RecordRequest record, ParseRecord(text));
    records.push_back(std::move(record));
  }
  return records;
}

void AddRecords(std::vector<RecordTensors> records, Report& report) {
  for (RecordTensors& record : records) {
    const auto add = [&](const char* name, std::optional<Tensor>& tensor) {
      if (tensor) report.AddArray(absl::StrCat(record.layer, "/", name), *std::move(tensor));
    };
    add("spikes", record.spikes);
    add("v_before_reset", record.v_before_reset);
    add("v_after_reset", record.v_after_reset);
  }
}

}  // namespace spikeserve::cli

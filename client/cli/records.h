// What spiking layers did, in commands that run networks.

#ifndef SPIKESERVE_CLI_RECORDS_H_
#define SPIKESERVE_CLI_RECORDS_H_

#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/status/statusor.h"
#include "cli/report.h"
#include "spikeserve/client/networks.h"

namespace spikeserve::cli {

// --record: which records are wanted.
class RecordFlag {
 public:
  void AddTo(CLI::App& app);
  absl::StatusOr<std::vector<RecordRequest>> Get() const;

 private:
  std::vector<std::string> records_;
};

// Adds the arrays that there are, as "LAYER/PART".
void AddRecords(std::vector<RecordTensors> records, Report& report);

}  // namespace spikeserve::cli

#endif  // SPIKESERVE_CLI_RECORDS_H_

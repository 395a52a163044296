// network run: a network on one stream, a block of steps at a time.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "cli/commands/network_command.h"
#include "cli/flags.h"
#include "cli/joined_steps.h"
#include "cli/records.h"
#include "status_macros.h"

namespace spikeserve::cli {
namespace {

// The steps [begin, end) of a tensor whose first dimension is time.
TensorView Steps(const TensorView& whole, int64_t begin, int64_t end) {
  Shape shape = whole.shape();
  shape[0] = 1;
  const int64_t step_bytes = *ByteCount(whole.dtype(), shape);
  shape[0] = end - begin;
  return {whole.dtype(), std::move(shape), static_cast<const std::byte*>(whole.data()) + begin * step_bytes};
}

// What all messages came to.
struct Joined {
  absl::Status Add(ForwardArgs::Result result) {
    SPIKESERVE_RETURN_IF_ERROR(output.Add(std::move(result.output)));
    records.resize(result.records.size());
    for (size_t r = 0; r < records.size(); ++r) {
      RecordTensors& in = result.records[r];
      Record& record = records[r];
      record.layer = in.layer;
      if (in.spikes) SPIKESERVE_RETURN_IF_ERROR(record.spikes.Add(*std::move(in.spikes)));
      if (in.v_before_reset) SPIKESERVE_RETURN_IF_ERROR(record.v_before_reset.Add(*std::move(in.v_before_reset)));
      if (in.v_after_reset) SPIKESERVE_RETURN_IF_ERROR(record.v_after_reset.Add(*std::move(in.v_after_reset)));
    }
    next_step = result.next_step;
    return absl::OkStatus();
  }

  struct Record {
    RecordTensors Release() { return {layer, spikes.Release(), v_before_reset.Release(), v_after_reset.Release()}; }
    std::string layer;
    JoinedSteps spikes;
    JoinedSteps v_before_reset;
    JoinedSteps v_after_reset;
  };
  JoinedSteps output;
  std::vector<Record> records;
  uint64_t next_step = 0;
};

class RunCommand final : public OneNetworkCommand {
 public:
  void AddOptions(CLI::App& app) override {
    OneNetworkCommand::AddOptions(app);
    input_.AddTo(app, "--input", "[T, batch, features ...]; the state stays for the next call")->required();
    app.add_option("--block", block_, "The steps of each message")
        ->type_name("INT")
        ->check(CLI::PositiveNumber)
        ->capture_default_str();
    app.add_flag("--reset", reset_, "Return the network to its initial state first");
    records_.AddTo(app);
    AddMaskDtype(app, args_.mask_dtype);
  }

  absl::StatusOr<Report> Run(const Caller& caller) override {
    SPIKESERVE_ASSIGN_OR_RETURN(args_.records, records_.Get());
    SPIKESERVE_ASSIGN_OR_RETURN(const Tensor input, input_.Read());
    if (input.shape().empty()) return UsageError("--input: got one number; need [T, batch, features ...]");
    SPIKESERVE_ASSIGN_OR_RETURN(Joined joined, caller.Do([&](const Client& client) {
      return RunBlocks(client.AttachNetwork(network_), input, caller.call_options());
    }));
    Report report;
    report.AddArray("output", *joined.output.Release());
    std::vector<RecordTensors> records;
    for (Joined::Record& record : joined.records) records.push_back(record.Release());
    AddRecords(std::move(records), report);
    report.AddValue("next_step", joined.next_step);
    return report;
  }

 private:
  // Sends the blocks while it receives what they come to.
  absl::StatusOr<Joined> RunBlocks(const NetworkHandle& network, const TensorView& input,
                                   const CallOptions& options) const {
    SPIKESERVE_ASSIGN_OR_RETURN(NetworkRun run, network.Run(args_, options));
    const int64_t steps = input.shape()[0];
    std::thread sender([&] {
      // No steps are one block too: it has the shape of the output.
      int64_t begin = 0;
      do {
        const int64_t end = begin + std::min(block_, steps - begin);
        // Where the stream has ended, Receive tells why.
        if (!run.Send(Steps(input, begin, end), {.reset = reset_ && begin == 0}).ok()) return;
        begin = end;
      } while (begin < steps);
    });
    const absl::Cleanup join = [&] {
      run.Cancel();
      sender.join();
    };
    Joined joined;
    for (int64_t block = 0; block == 0 || block * block_ < steps; ++block) {
      SPIKESERVE_ASSIGN_OR_RETURN(ForwardArgs::Result result, run.Receive());
      SPIKESERVE_RETURN_IF_ERROR(joined.Add(std::move(result)));
    }
    SPIKESERVE_RETURN_IF_ERROR(run.Finish());
    return joined;
  }

  ArrayFlag input_;
  int64_t block_ = 32;
  bool reset_ = false;
  RecordFlag records_;
  RunArgs args_;
};

}  // namespace

CommandInfo NetworkRunBlocks() {
  return DescribeNetwork<RunCommand>(
      "run", "Run a network on one stream, a block of steps a message",
      "spikectl network run $NET --input x.npy --block 10 --reset -o out.npy --server 127.0.0.1:50051",
      /*has_arrays=*/true);
}

}  // namespace spikeserve::cli

// The commands of each file, for the table.

#ifndef SPIKESERVE_CLI_COMMANDS_COMMANDS_H_
#define SPIKESERVE_CLI_COMMANDS_COMMANDS_H_

#include <vector>

#include "cli/command.h"

namespace spikeserve::cli {

// The headings of spikectl --help.
inline constexpr char kFunctions[] = "Functions";
inline constexpr char kNetworks[] = "Networks";
inline constexpr char kTraining[] = "Training";
inline constexpr char kDrawing[] = "Drawing";
inline constexpr char kServer[] = "Server";

CommandInfo SpikeCluster();
CommandInfo KernelDotProduct();
CommandInfo KernelDotProductVjp();
CommandInfo SpikeSimilarLoss();
CommandInfo RedundantOneHot();
CommandInfo FirstSpikeIndex();
CommandInfo ThresholdMargin();
CommandInfo StcaLoss();
CommandInfo NetworkCreate();
CommandInfo NetworkGet();
CommandInfo NetworkList();
CommandInfo NetworkForward();
CommandInfo NetworkRunBlocks();
CommandInfo NetworkSetTraining();
CommandInfo NetworkSetThresholdMargin();
CommandInfo NetworkReset();
CommandInfo NetworkDelete();
CommandInfo NetworkSave();
CommandInfo NetworkLoad();
CommandInfo NetworkBackward();
CommandInfo NetworkZeroGradients();
CommandInfo NetworkApplyGradients();
CommandInfo NetworkTrainStep();
CommandInfo Train();
CommandInfo Raster();
CommandInfo Heatmap();
CommandInfo Health();
CommandInfo Statistics();
CommandInfo Top();
CommandInfo Load();
CommandInfo Token();

}  // namespace spikeserve::cli

#endif  // SPIKESERVE_CLI_COMMANDS_COMMANDS_H_

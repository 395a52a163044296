#include "cli/commands/commands.h"

namespace spikeserve::cli {

std::vector<CommandInfo> Commands() {
  CommandInfo (*const kTable[])() = {
      SpikeCluster,
      KernelDotProduct,
      KernelDotProductVjp,
      SpikeSimilarLoss,
      RedundantOneHot,
      FirstSpikeIndex,
      ThresholdMargin,
      StcaLoss,  //
      NetworkCreate,
      NetworkGet,
      NetworkList,
      NetworkSave,
      NetworkLoad,
      NetworkDelete,
      NetworkForward,
      NetworkRunBlocks,
      NetworkSetTraining,
      NetworkSetThresholdMargin,
      NetworkReset,
      NetworkTrainStep,
      NetworkBackward,
      NetworkZeroGradients,
      NetworkApplyGradients,  //
      Train,                  //
      Raster,
      Heatmap,  //
      Health,
      Statistics,
      Top,
      Load,
      Token,
  };
  std::vector<CommandInfo> commands;
  for (const auto& command : kTable) commands.push_back(command());
  return commands;
}

}  // namespace spikeserve::cli

// How --help looks.

#ifndef SPIKESERVE_CLI_HELP_H_
#define SPIKESERVE_CLI_HELP_H_

#include <string>

#include "CLI/CLI.hpp"

namespace spikeserve::cli {

// CLI11's, with what is required and the defaults in the descriptions, nested commands in full, and fewer empty lines.
class HelpFormatter final : public CLI::Formatter {
 public:
  HelpFormatter();

  std::string make_help(const CLI::App* app, std::string name, CLI::AppFormatMode mode) const override;
  std::string make_subcommand(const CLI::App* sub) const override;
  std::string make_option_opts(const CLI::Option* option) const override;
  std::string make_option_desc(const CLI::Option* option) const override;
};

}  // namespace spikeserve::cli

#endif  // SPIKESERVE_CLI_HELP_H_

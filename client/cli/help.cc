#include "cli/help.h"

#include <sstream>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"

namespace spikeserve::cli {

HelpFormatter::HelpFormatter() {
  column_width(32);
  label("SUBCOMMAND", "COMMAND");
  label("Positionals", "Arguments");
}

std::string HelpFormatter::make_help(const CLI::App* app, std::string name, CLI::AppFormatMode mode) const {
  std::string help = CLI::Formatter::make_help(app, std::move(name), mode);
  while (absl::StrReplaceAll({{"\n\n\n", "\n\n"}}, &help) > 0) {
  }
  return absl::StrReplaceAll(help, {{"\nUsage:", "\n\nUsage:"}});
}

std::string HelpFormatter::make_subcommand(const CLI::App* sub) const {
  const std::vector<const CLI::App*> nested = sub->get_subcommands({});
  if (nested.empty()) return CLI::Formatter::make_subcommand(sub);
  std::ostringstream lines;
  for (const CLI::App* app : nested) {
    CLI::detail::format_help(lines, absl::StrCat(sub->get_name(), " ", app->get_name()), app->get_description(),
                             column_width_);
  }
  return lines.str();
}

std::string HelpFormatter::make_option_opts(const CLI::Option* option) const {
  const bool takes_value = option->get_type_size() != 0 && !option->get_positional();
  return takes_value ? " " + option->get_type_name() : "";
}

std::string HelpFormatter::make_option_desc(const CLI::Option* option) const {
  const std::string& fallback = option->get_default_str();
  return absl::StrCat(option->get_description(), option->get_required() ? " (required)" : "",
                      fallback.empty() ? "" : absl::StrCat(" (default: ", fallback, ")"));
}

}  // namespace spikeserve::cli

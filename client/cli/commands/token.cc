#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "cli/commands/commands.h"
#include "identity/tokens.h"
#include "runtime/random_bytes.h"
#include "shared_memory/file_descriptor.h"
#include "status_macros.h"

namespace spikeserve::cli {
namespace {

// Into a new file that only its owner reads.
absl::Status Save(const std::string& token, const std::string& path) {
  const std::string line = token + "\n";
  const shared_memory::FileDescriptor file(open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (file && write(file.get(), line.data(), line.size()) == static_cast<ssize_t>(line.size())) return absl::OkStatus();
  return absl::UnavailableError(absl::StrCat("--save: ", path, ": ", std::strerror(errno)));
}

class TokenCommand final : public Command {
 public:
  void AddOptions(CLI::App& app) override {
    app.add_option("name", name_, "The identity that the token proves: letters, digits, '.', '_' and '-'")
        ->type_name("NAME")
        ->required();
    app.add_option("--save", path_, "Write the token to this new file, and print only the line for --tokens")
        ->type_name("FILE");
  }

  absl::StatusOr<Report> Run(const Caller&) override {
    if (!identity::IsTokenName(name_)) {
      return UsageError("NAME: got " + name_ + "; need 1 to 64 letters, digits, '.', '_' and '-'");
    }
    SPIKESERVE_ASSIGN_OR_RETURN(const std::string bytes, server::RandomBytes(32));
    const std::string token = absl::BytesToHexString(bytes);
    const std::string line = identity::TokenLine(name_, token);
    Report report;
    if (path_.empty()) {
      report.AddValue("token", token);
      report.AddValue("line", line);
    } else {
      SPIKESERVE_RETURN_IF_ERROR(Save(token, path_));
      report.AddText("line", line, line);
    }
    return report;
  }

 private:
  std::string name_;
  std::string path_;
};

}  // namespace

CommandInfo Token() {
  return Describe<TokenCommand>(kServer, "token", "Make a token for a caller of a server that asks for them",
                                "spikectl token alice --save alice.token >> tokens", Where::kHere,
                                /*has_arrays=*/false);
}

}  // namespace spikeserve::cli

#include "state/network_files.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "runtime/guarded.h"
#include "status_macros.h"

namespace spikeserve::state {
namespace {

using server::Severity;

constexpr char kSuffix[] = ".network";
constexpr char kTemporarySuffix[] = ".network.tmp";
constexpr char kCorruptSuffix[] = ".corrupt";

// Those that a NetworkStore makes; none of them leads out of the directory.
bool IsNetworkName(std::string_view name) {
  return name.size() == 32 && name.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

std::string FileOf(const std::string& network) { return network + kSuffix; }

// Whether the file is as it was and may be taken another time, by a server with other limits or of another version.
bool MayBeTakenLater(const absl::Status& status) {
  return absl::IsResourceExhausted(status) || absl::IsUnimplemented(status) || absl::IsUnavailable(status);
}

}  // namespace

absl::StatusOr<int> NetworkFiles::Load(absl::FunctionRef<absl::Status(const v1::StoredNetwork&)> take,
                                       const server::EventSink& events, absl::FunctionRef<bool()> stop,
                                       absl::FunctionRef<int64_t()> room) {
  SPIKESERVE_ASSIGN_OR_RETURN(std::vector<std::string> files, directory_->List());
  std::sort(files.begin(), files.end());
  int taken = 0;
  for (const std::string& file : files) {
    if (stop()) return absl::CancelledError("not all networks were loaded");
    if (absl::EndsWith(file, kTemporarySuffix)) {
      directory_->Remove(file).IgnoreError();
      continue;
    }
    if (!absl::EndsWith(file, kSuffix)) continue;
    const absl::Status status = server::Guarded([&] { return LoadOne(file, room(), take); });
    const server::Event::Field reason = {"reason", std::string(status.message())};
    if (status.ok()) {
      ++taken;
    } else if (MayBeTakenLater(status)) {
      events({Severity::kWarning, "network not loaded; its file is left as it is", {{"file", file}, reason}});
    } else if (const absl::Status renamed = directory_->Rename(file, file + kCorruptSuffix); renamed.ok()) {
      events({Severity::kError,
              "network not loaded; its file is corrupt, and renamed",
              {{"file", file}, {"renamed", file + kCorruptSuffix}, reason}});
    } else {
      events({Severity::kError,
              "network not loaded; its file is corrupt, and cannot be renamed",
              {{"file", file}, reason, {"not_renamed", std::string(renamed.message())}}});
    }
  }
  return taken;
}

absl::Status NetworkFiles::LoadOne(const std::string& file, int64_t room,
                                   absl::FunctionRef<absl::Status(const v1::StoredNetwork&)> take) {
  absl::StatusOr<std::string> bytes = directory_->Read(file, std::min(room, kMaxStateFileBytes));
  if (absl::IsResourceExhausted(bytes.status()) && room < kMaxStateFileBytes) {
    return absl::ResourceExhaustedError(
        absl::StrCat(bytes.status().message(), "; there is room for a file of ", room,
                     " (the server's --max-network-bytes or --max-network-bytes-per-identity)"));
  }
  // A disk that does not give a file says nothing of what is in it.
  if (!bytes.ok()) return absl::UnavailableError(bytes.status().message());
  SPIKESERVE_ASSIGN_OR_RETURN(const v1::StoredNetwork network, DecodeStateFile(*bytes));
  bytes = std::string();  // Its memory is needed for the network.
  if (!IsNetworkName(network.network()) || FileOf(network.network()) != file) {
    return absl::DataLossError("it is not named as the network in it");
  }
  SPIKESERVE_RETURN_IF_ERROR(take(network));
  steps_[network.network()] = network.next_step();
  return absl::OkStatus();
}

absl::Status NetworkFiles::Write(const v1::StoredNetwork& network) {
  const std::string& name = network.network();
  if (!IsNetworkName(name)) return absl::InvalidArgumentError("no name of a network");
  const std::string file = FileOf(name), temporary = name + kTemporarySuffix;
  SPIKESERVE_ASSIGN_OR_RETURN(const std::string bytes, EncodeStateFile(network));
  absl::Status status = WriteWhole(temporary, bytes);
  if (status.ok()) {
    steps_[name] = std::nullopt;
    status = directory_->Rename(temporary, file);
  }
  if (!status.ok()) {
    directory_->Remove(temporary).IgnoreError();
    return status;
  }
  SPIKESERVE_RETURN_IF_ERROR(directory_->Sync());
  steps_[name] = network.next_step();
  return absl::OkStatus();
}

absl::Status NetworkFiles::WriteWhole(const std::string& file, std::string_view bytes) {
  SPIKESERVE_ASSIGN_OR_RETURN(const std::unique_ptr<WritableFile> out, directory_->Create(file));
  while (!bytes.empty()) {
    SPIKESERVE_ASSIGN_OR_RETURN(const size_t written, out->Write(bytes));
    if (written == 0) return absl::UnavailableError("cannot write: no byte was taken");
    bytes.remove_prefix(written);
  }
  return out->Sync();
}

absl::Status NetworkFiles::Remove(const std::string& network) {
  if (!IsNetworkName(network)) return absl::InvalidArgumentError("no name of a network");
  const absl::Status status = directory_->Remove(FileOf(network));
  if (!status.ok() && !absl::IsNotFound(status)) return status;
  SPIKESERVE_RETURN_IF_ERROR(directory_->Sync());
  steps_.erase(network);
  return absl::OkStatus();
}

std::vector<std::string> NetworkFiles::Networks() const {
  std::vector<std::string> networks;
  for (const auto& [network, step] : steps_) networks.push_back(network);
  return networks;
}

std::optional<uint64_t> NetworkFiles::StepOf(const std::string& network) const {
  const auto it = steps_.find(network);
  return it == steps_.end() ? std::nullopt : it->second;
}

}  // namespace spikeserve::state

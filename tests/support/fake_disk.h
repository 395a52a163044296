// A disk in memory that fails when it is told to, and forgets in a crash what nobody asked it to keep.

#ifndef SPIKESERVE_TESTS_SUPPORT_FAKE_DISK_H_
#define SPIKESERVE_TESTS_SUPPORT_FAKE_DISK_H_

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "state/directory.h"

namespace spikeserve::testing {

// What a crash leaves of what was not synced.
enum class Crash {
  // All of it.
  kKeepsAll,
  // Nothing: files and names are those of the last sync.
  kKeepsWhatWasSynced,
  // Names, but no bytes: a file that was renamed and not synced is empty.
  kKeepsNames,
  // Names, and half of the bytes.
  kKeepsNamesAndHalf,
};
inline constexpr Crash kCrashes[] = {Crash::kKeepsAll, Crash::kKeepsWhatWasSynced, Crash::kKeepsNames,
                                     Crash::kKeepsNamesAndHalf};

// One directory's files.
class FakeDisk : public std::enable_shared_from_this<FakeDisk> {
 public:
  // Called before each operation that changes something, with its name and its number from 0: an error fails it.
  std::function<absl::Status(const std::string& operation, int number)> before = [](const std::string&, int) {
    return absl::OkStatus();
  };
  // The most bytes that one write takes.
  size_t max_write = std::string::npos;
  // What was done.
  std::vector<std::string> operations;

  // A view of it for one owner.
  std::unique_ptr<state::Directory> Open() { return std::make_unique<View>(shared_from_this()); }

  // The machine comes up again.
  void Restart(Crash crash) {
    if (crash == Crash::kKeepsWhatWasSynced) now_ = synced_;
    for (auto& [name, file] : now_) {
      if (crash == Crash::kKeepsWhatWasSynced || crash == Crash::kKeepsNames) file->bytes = file->synced;
      if (crash == Crash::kKeepsNamesAndHalf && file->bytes != file->synced) {
        file->bytes.resize((file->synced.size() + file->bytes.size()) / 2);
      }
      file->synced = file->bytes;
    }
    synced_ = now_;
    before = [](const std::string&, int) { return absl::OkStatus(); };
  }

  // Puts a file there, or replaces it.
  void Put(const std::string& name, std::string bytes) {
    now_[name] = synced_[name] = std::make_shared<File>(File{bytes, bytes});
  }
  // The file's bytes; fails where there is none.
  const std::string& Bytes(const std::string& name) const { return now_.at(name)->bytes; }
  std::vector<std::string> Names() const {
    std::vector<std::string> names;
    for (const auto& [name, file] : now_) names.push_back(name);
    return names;
  }

 private:
  struct File {
    std::string bytes;
    std::string synced;
  };
  using Files = std::map<std::string, std::shared_ptr<File>>;

  absl::Status Begin(const std::string& operation) {
    const int number = static_cast<int>(operations.size());
    operations.push_back(operation);
    return before(operation, number);
  }

  class OpenFile final : public state::WritableFile {
   public:
    OpenFile(std::shared_ptr<FakeDisk> disk, std::shared_ptr<File> file)
        : disk_(std::move(disk)), file_(std::move(file)) {}
    absl::StatusOr<size_t> Write(std::string_view bytes) override {
      if (absl::Status status = disk_->Begin("write"); !status.ok()) return status;
      bytes = bytes.substr(0, disk_->max_write);
      file_->bytes += bytes;
      return bytes.size();
    }
    absl::Status Sync() override {
      if (absl::Status status = disk_->Begin("sync a file"); !status.ok()) return status;
      file_->synced = file_->bytes;
      return absl::OkStatus();
    }

   private:
    const std::shared_ptr<FakeDisk> disk_;
    const std::shared_ptr<File> file_;
  };

  class View final : public state::Directory {
   public:
    explicit View(std::shared_ptr<FakeDisk> disk) : disk_(std::move(disk)) {}
    absl::StatusOr<std::vector<std::string>> List() override { return disk_->Names(); }
    absl::StatusOr<std::string> Read(const std::string& name, int64_t max_bytes) override {
      const auto it = disk_->now_.find(name);
      if (it == disk_->now_.end()) return absl::NotFoundError("none");
      if (static_cast<int64_t>(it->second->bytes.size()) > max_bytes) return absl::ResourceExhaustedError("too large");
      return it->second->bytes;
    }
    absl::StatusOr<std::unique_ptr<state::WritableFile>> Create(const std::string& name) override {
      if (absl::Status status = disk_->Begin("create " + name); !status.ok()) return status;
      std::shared_ptr<File>& file = disk_->now_[name];
      if (file == nullptr) file = std::make_shared<File>();
      *file = File();
      return std::make_unique<OpenFile>(disk_, file);
    }
    absl::Status Rename(const std::string& from, const std::string& to) override {
      if (absl::Status status = disk_->Begin("rename " + from); !status.ok()) return status;
      const auto it = disk_->now_.find(from);
      if (it == disk_->now_.end()) return absl::NotFoundError("none");
      disk_->now_[to] = it->second;
      disk_->now_.erase(it);
      return absl::OkStatus();
    }
    absl::Status Remove(const std::string& name) override {
      if (absl::Status status = disk_->Begin("remove " + name); !status.ok()) return status;
      return disk_->now_.erase(name) > 0 ? absl::OkStatus() : absl::NotFoundError("none");
    }
    absl::Status Sync() override {
      if (absl::Status status = disk_->Begin("sync"); !status.ok()) return status;
      disk_->synced_ = disk_->now_;
      return absl::OkStatus();
    }

   private:
    const std::shared_ptr<FakeDisk> disk_;
  };

  // What the running machine sees, and what is sure to be there after a crash. They share the files.
  Files now_, synced_;
};

}  // namespace spikeserve::testing

#endif  // SPIKESERVE_TESTS_SUPPORT_FAKE_DISK_H_

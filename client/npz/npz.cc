#include "npz/npz.h"

#include <zip.h>

#include <algorithm>
#include <memory>
#include <string_view>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "file/file.h"
#include "npz/npy.h"

namespace spikeserve::npz {
namespace {

constexpr char kArrayEnding[] = ".npy";
constexpr char kArchiveEnding[] = ".npz";
constexpr int kCompressionLevel = 6;                         // As np.savez_compressed.
constexpr uint16_t kFirstDosDate = (0 << 9) | (1 << 5) | 1;  // 1980-01-01.

struct Discard {
  void operator()(zip_t* archive) const { zip_discard(archive); }
  void operator()(zip_file_t* file) const { zip_fclose(file); }
  void operator()(zip_source_t* source) const { zip_source_free(source); }
};
template <typename T>
using Owned = std::unique_ptr<T, Discard>;

absl::Status ZipError(std::string_view action, const char* reason) {
  return absl::InvalidArgumentError(absl::StrCat(absl::string_view(action.data(), action.size()), ": ", reason));
}

// An archive to read from; the errors of its functions do not name the file.
class Archive {
 public:
  static absl::StatusOr<Archive> Open(std::string bytes) {
    // To libzip, no bytes are an archive without members.
    if (bytes.empty()) return absl::InvalidArgumentError("empty file; need a .npz archive");
    Archive archive;
    archive.bytes_ = std::make_unique<std::string>(std::move(bytes));
    zip_error_t error;
    zip_error_init(&error);
    const absl::Cleanup fini = [&error] { zip_error_fini(&error); };
    Owned<zip_source_t> source(
        zip_source_buffer_create(archive.bytes_->data(), archive.bytes_->size(), /*freep=*/0, &error));
    if (source != nullptr) archive.zip_.reset(zip_open_from_source(source.get(), ZIP_RDONLY, &error));
    if (archive.zip_ == nullptr) return ZipError("no .npz archive", zip_error_strerror(&error));
    source.release();  // The archive's now.
    for (zip_int64_t i = 0; i < zip_get_num_entries(archive.zip_.get(), 0); ++i) {
      const char* name = zip_get_name(archive.zip_.get(), i, 0);
      if (name == nullptr) return ZipError("directory", zip_strerror(archive.zip_.get()));
      archive.names_.emplace_back(absl::StripSuffix(name, kArrayEnding));
    }
    return archive;
  }

  // By member.
  const std::vector<std::string>& names() const { return names_; }

  absl::StatusOr<Tensor> Read(size_t member) const {
    absl::StatusOr<Tensor> tensor = ReadUnnamed(member);
    if (!tensor.ok()) return file::AtPath(names_[member], tensor.status());
    return tensor;
  }

 private:
  absl::StatusOr<Tensor> ReadUnnamed(size_t member) const {
    constexpr zip_uint64_t kNeeded = ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE | ZIP_STAT_COMP_METHOD;
    constexpr uint64_t kMaxExpansion = 1032;  // Deflate codes at most 258 bytes in 2 bits.
    zip_stat_t info;
    if (zip_stat_index(zip_.get(), member, 0, &info) != 0 || (info.valid & kNeeded) != kNeeded) {
      return ZipError("directory", zip_strerror(zip_.get()));
    }
    if (info.comp_method != ZIP_CM_STORE && info.comp_method != ZIP_CM_DEFLATE) {
      return absl::InvalidArgumentError(
          absl::StrCat("compression method ", info.comp_method, "; need 0 (stored) or 8 (deflated)"));
    }
    if (info.comp_size > bytes_->size() || info.size / kMaxExpansion > info.comp_size) {
      return absl::InvalidArgumentError(absl::StrCat("directory claims ", info.size, " bytes in ", info.comp_size,
                                                     " of an archive of ", bytes_->size(), "; need an intact archive"));
    }
    const Owned<zip_file_t> file(zip_fopen_index(zip_.get(), member, 0));
    if (file == nullptr) return ZipError("cannot read", zip_strerror(zip_.get()));

    // The elements are not expanded before the header agrees with their number.
    const auto size = static_cast<int64_t>(info.size);
    std::string bytes(std::min(size, kMaxNpyHeaderSize), '\0');
    const auto fill = [&](size_t from) {
      return zip_fread(file.get(), bytes.data() + from, bytes.size() - from) ==
             static_cast<zip_int64_t>(bytes.size() - from);
    };
    const auto cut_off = [&] {
      const int code = zip_error_code_zip(zip_file_get_error(file.get()));
      return ZipError("cannot read", code == ZIP_ER_OK ? "ends early" : zip_file_strerror(file.get()));
    };
    if (!fill(0)) return cut_off();
    absl::StatusOr<NpyHeader> header = ParseNpyHeader(bytes);
    if (!header.ok()) return header.status();
    if (header->data_offset + header->data_size != size) {
      return absl::InvalidArgumentError(absl::StrCat(size - header->data_offset, " bytes of elements; need ",
                                                     header->data_size, " for shape ", ShapeString(header->shape)));
    }
    const size_t filled = bytes.size();
    bytes.resize(size);
    if (!fill(filled)) return cut_off();
    // The checksum is compared where the end is read.
    char beyond;
    if (zip_fread(file.get(), &beyond, 1) != 0) return cut_off();
    return ParseNpy(bytes);
  }

  std::unique_ptr<std::string> bytes_;  // At one place when the Archive moves: zip_ reads it.
  Owned<zip_t> zip_;
  std::vector<std::string> names_;
};

absl::StatusOr<Archive> OpenArchive(const std::string& path) {
  absl::StatusOr<std::string> bytes = file::ReadFile(path);
  if (!bytes.ok()) return bytes.status();
  absl::StatusOr<Archive> archive = Archive::Open(*std::move(bytes));
  if (!archive.ok()) return file::AtPath(path, archive.status());
  return archive;
}

absl::StatusOr<Tensor> ReadMember(const std::string& path, const std::string* name) {
  absl::StatusOr<Archive> archive = OpenArchive(path);
  if (!archive.ok()) return archive.status();
  const std::vector<std::string>& names = archive->names();
  const auto found =
      name != nullptr ? std::find(names.begin(), names.end(), absl::StripSuffix(*name, kArrayEnding)) : names.begin();
  if (found == names.end() || (name == nullptr && names.size() != 1)) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": ", name != nullptr ? "no array " + *name : "no name given", "; need ", path,
                     ":NAME, NAME one of: ", names.empty() ? "(it is empty)" : absl::StrJoin(names, ", ")));
  }
  absl::StatusOr<Tensor> tensor = archive->Read(found - names.begin());
  if (!tensor.ok()) return file::AtPath(path, tensor.status());
  return tensor;
}

}  // namespace

absl::StatusOr<std::map<std::string, Tensor>> ReadNpz(const std::string& path) {
  absl::StatusOr<Archive> archive = OpenArchive(path);
  if (!archive.ok()) return archive.status();
  std::map<std::string, Tensor> arrays;
  for (size_t i = 0; i < archive->names().size(); ++i) {
    absl::StatusOr<Tensor> tensor = archive->Read(i);
    if (!tensor.ok()) return file::AtPath(path, tensor.status());
    const std::string& name = archive->names()[i];
    if (!arrays.emplace(name, *std::move(tensor)).second) {
      return absl::InvalidArgumentError(absl::StrCat(path, ": two arrays ", name, "; need different names"));
    }
  }
  return arrays;
}

absl::Status WriteNpz(const std::string& path, absl::Span<const std::pair<std::string, TensorView>> arrays) {
  // libzip has no archives without members.
  if (arrays.empty()) return absl::InvalidArgumentError(absl::StrCat(path, ": no arrays; need one at least"));
  std::vector<std::string> members;  // Read when the archive is closed.
  for (const auto& [name, tensor] : arrays) members.push_back(FormatNpy(tensor));

  zip_error_t error;
  zip_error_init(&error);
  const absl::Cleanup fini = [&error] { zip_error_fini(&error); };
  const Owned<zip_source_t> target(zip_source_buffer_create(nullptr, 0, /*freep=*/0, &error));
  Owned<zip_t> zip(target == nullptr ? nullptr : zip_open_from_source(target.get(), ZIP_TRUNCATE, &error));
  if (zip == nullptr) return absl::InternalError(absl::StrCat(path, ": ", zip_error_strerror(&error)));
  zip_source_keep(target.get());  // Both `zip` and we read it.
  const auto failed = [&](const std::string& what) {
    return file::AtPath(path, ZipError("cannot write " + what, zip_strerror(zip.get())));
  };
  for (size_t i = 0; i < arrays.size(); ++i) {
    const std::string& name = arrays[i].first;
    if (name.empty()) return absl::InvalidArgumentError(absl::StrCat(path, ": array without a name; need one"));
    Owned<zip_source_t> source(zip_source_buffer(zip.get(), members[i].data(), members[i].size(), /*freep=*/0));
    if (source == nullptr) return failed(name);
    const zip_int64_t member = zip_file_add(zip.get(), (name + kArrayEnding).c_str(), source.get(), ZIP_FL_ENC_UTF_8);
    if (member < 0) return failed(name);
    source.release();  // The archive's now.
    if (zip_set_file_compression(zip.get(), member, ZIP_CM_DEFLATE, kCompressionLevel) != 0 ||
        zip_file_set_dostime(zip.get(), member, 0, kFirstDosDate, 0) != 0) {
      return failed(name);
    }
  }
  if (zip_close(zip.get()) != 0) return failed("the archive");
  zip.release();

  zip_stat_t info;
  if (zip_source_stat(target.get(), &info) != 0 || zip_source_open(target.get()) != 0) {
    return file::AtPath(path, ZipError("cannot write", zip_error_strerror(zip_source_error(target.get()))));
  }
  std::string bytes(info.size, '\0');
  const bool whole = zip_source_read(target.get(), bytes.data(), bytes.size()) == static_cast<int64_t>(bytes.size());
  zip_source_close(target.get());
  if (!whole) return absl::InternalError(absl::StrCat(path, ": the archive cannot be read back"));
  return file::WriteFile(path, bytes);
}

absl::StatusOr<Tensor> ReadArray(const std::string& spec) {
  const size_t colon = spec.find(absl::StrCat(kArchiveEnding, ":"));
  if (colon != spec.npos) {
    const std::string name = spec.substr(colon + sizeof kArchiveEnding);
    return ReadMember(spec.substr(0, colon + sizeof kArchiveEnding - 1), &name);
  }
  if (absl::EndsWith(spec, kArchiveEnding)) return ReadMember(spec, nullptr);
  if (absl::EndsWith(spec, kArrayEnding)) return ReadNpy(spec);
  return absl::InvalidArgumentError(
      absl::StrCat(spec, ": not an array's name; need FILE.npy, FILE.npz:NAME, or FILE.npz of one array"));
}

}  // namespace spikeserve::npz

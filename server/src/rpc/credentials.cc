// gRPC's FileWatcherCertificateProvider follows files, but takes whatever it finds in them: with a certificate and a
// key that do not belong together, as there are while one is replaced after the other, the listener refuses everybody.
// So gRPC is given files of our own, in memory, which only ever hold what was checked
// (docs/decisions/0014-tls-files.md).

#include "rpc/credentials.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "grpcpp/security/tls_certificate_provider.h"
#include "grpcpp/security/tls_credentials_options.h"
#include "identity/pem.h"
#include "shared_memory/file_descriptor.h"
#include "status_macros.h"

namespace spikeserve::rpc {
namespace {

using identity::FlagFile;
using identity::Pem;

std::vector<FlagFile> FlagFiles(const TlsFiles& files) {
  std::vector<FlagFile> all = {{"--tls-cert", files.certificate}, {"--tls-key", files.key}};
  if (!files.client_ca.empty()) all.push_back({"--tls-client-ca", files.client_ca});
  return all;
}

// What gRPC is given.
struct Material {
  // Key and certificate are in one file, so that gRPC cannot read them of two versions.
  std::string key_pair;
  std::string client_ca;
  absl::Time expiry;
};

absl::StatusOr<Material> CheckContents(const std::vector<FlagFile>& files, const std::vector<std::string>& contents) {
  const auto pem = [&](size_t i) { return Pem{contents[i], files[i].flag, files[i].path}; };
  const absl::Time now = absl::Now();
  Material material;
  SPIKESERVE_ASSIGN_OR_RETURN(material.key_pair, identity::ReadKeyPair(pem(0), pem(1), now));
  SPIKESERVE_ASSIGN_OR_RETURN(material.expiry, identity::ExpiryOf(pem(0)));
  if (files.size() > 2) {
    SPIKESERVE_RETURN_IF_ERROR(identity::CheckAuthorities(pem(2), now));
    material.client_ca = contents[2];
  }
  return material;
}

absl::Status SystemError(std::string_view what) {
  return absl::UnavailableError(
      absl::StrCat("TLS: ", absl::string_view(what.data(), what.size()), ": ", std::strerror(errno)));
}

}  // namespace

// A file without a name, which is replaced as a whole: whoever opens its path finds all of the old bytes, or all of the
// new. Each version has a time of change of its own, in whole seconds, by which gRPC tells whether what it has read is
// of one version.
class TlsCredentials::MemoryFile {
 public:
  static absl::StatusOr<std::unique_ptr<MemoryFile>> Create(std::string_view bytes) {
    std::unique_ptr<MemoryFile> file(new MemoryFile());
    SPIKESERVE_RETURN_IF_ERROR(file->Replace(bytes));
    if (access(file->path().c_str(), R_OK) != 0) return SystemError(file->path());
    return file;
  }

  std::string path() const { return absl::StrCat("/proc/self/fd/", file_.get()); }

  absl::Status Replace(std::string_view bytes) {
    shared_memory::FileDescriptor next(memfd_create("spikeserve-tls", MFD_CLOEXEC));
    if (!next) return SystemError("memfd_create");
    for (size_t written = 0; written < bytes.size();) {
      const ssize_t n = write(next.get(), bytes.data() + written, bytes.size() - written);
      if (n < 0) return SystemError("write");
      written += static_cast<size_t>(n);
    }
    const timespec time = {++version_, 0};
    const timespec times[2] = {time, time};
    if (futimens(next.get(), times) != 0) return SystemError("futimens");
    if (!file_) {
      file_ = std::move(next);
    } else if (dup3(next.get(), file_.get(), O_CLOEXEC) < 0) {
      return SystemError("dup3");
    }
    return absl::OkStatus();
  }

 private:
  MemoryFile() = default;

  shared_memory::FileDescriptor file_;
  time_t version_ = 0;
};

TlsCredentials::TlsCredentials() = default;
TlsCredentials::~TlsCredentials() = default;

absl::Status TlsCredentials::Check(const TlsFiles& files) {
  const std::vector<FlagFile> all = FlagFiles(files);
  SPIKESERVE_ASSIGN_OR_RETURN(const std::vector<std::string> contents, identity::ReadFiles(all));
  return CheckContents(all, contents).status();
}

absl::StatusOr<std::unique_ptr<TlsCredentials>> TlsCredentials::Load(const TlsFiles& files, server::EventSink events,
                                                                     absl::Duration period) {
  const std::vector<FlagFile> all = FlagFiles(files);
  SPIKESERVE_ASSIGN_OR_RETURN(std::vector<std::string> contents, identity::ReadFiles(all));
  SPIKESERVE_ASSIGN_OR_RETURN(const Material material, CheckContents(all, contents));
  std::unique_ptr<TlsCredentials> self(new TlsCredentials());
  SPIKESERVE_ASSIGN_OR_RETURN(self->key_pair_, MemoryFile::Create(material.key_pair));
  if (!files.client_ca.empty()) {
    SPIKESERVE_ASSIGN_OR_RETURN(self->client_ca_, MemoryFile::Create(material.client_ca));
  }

  self->expiry_ = absl::ToUnixSeconds(material.expiry);
  const std::string key_pair = self->key_pair_->path();
  const std::string client_ca = self->client_ca_ == nullptr ? "" : self->client_ca_->path();
  grpc::experimental::TlsServerCredentialsOptions options(
      std::make_shared<grpc::experimental::FileWatcherCertificateProvider>(key_pair, key_pair, client_ca,
                                                                           /*refresh_interval_sec=*/1));
  options.watch_identity_key_cert_pairs();
  if (self->client_ca_ != nullptr) {
    options.watch_root_certs();
    options.set_cert_request_type(GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
  }
  self->credentials_ = grpc::experimental::TlsServerCredentials(options);
  self->watch_ = std::make_unique<identity::FileWatch>(
      all, std::move(contents),
      [self = self.get(), all](const std::vector<std::string>& changed) -> absl::Status {
        SPIKESERVE_ASSIGN_OR_RETURN(const Material next, CheckContents(all, changed));
        SPIKESERVE_RETURN_IF_ERROR(self->key_pair_->Replace(next.key_pair));
        self->expiry_ = absl::ToUnixSeconds(next.expiry);
        return self->client_ca_ == nullptr ? absl::OkStatus() : self->client_ca_->Replace(next.client_ca);
      },
      std::move(events), period);
  return self;
}

}  // namespace spikeserve::rpc

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

std::vector<FlagFile> KeyPairFiles(const TlsFiles& files) {
  return {{"--tls-cert", files.certificate}, {"--tls-key", files.key}};
}

// Empty where clients show no certificate.
std::vector<FlagFile> ClientCaFiles(const TlsFiles& files) {
  if (files.client_ca.empty()) return {};
  return {{"--tls-client-ca", files.client_ca}};
}

Pem PemOf(const FlagFile& file, const std::string& content) { return {content, file.flag, file.path}; }

// What gRPC is given to show to clients.
struct KeyPair {
  // Key and certificate are in one file, so that gRPC cannot read them of two versions.
  std::string pem;
  absl::Time expiry;
};

// Of KeyPairFiles.
absl::StatusOr<KeyPair> CheckKeyPair(const std::vector<FlagFile>& files, const std::vector<std::string>& contents) {
  const Pem certificate = PemOf(files[0], contents[0]);
  KeyPair pair;
  SPIKESERVE_ASSIGN_OR_RETURN(pair.pem, identity::ReadKeyPair(certificate, PemOf(files[1], contents[1]), absl::Now()));
  SPIKESERVE_ASSIGN_OR_RETURN(pair.expiry, identity::ExpiryOf(certificate));
  return pair;
}

// Of ClientCaFiles.
absl::Status CheckClientCa(const std::vector<FlagFile>& files, const std::vector<std::string>& contents) {
  return files.empty() ? absl::OkStatus() : identity::CheckAuthorities(PemOf(files[0], contents[0]), absl::Now());
}

// What the files hold, found right.
struct Found {
  std::vector<std::string> pair_contents;
  std::vector<std::string> client_ca_contents;
  KeyPair pair;
};

absl::StatusOr<Found> ReadAndCheck(const TlsFiles& files) {
  const std::vector<FlagFile> pair_files = KeyPairFiles(files), client_ca_files = ClientCaFiles(files);
  Found found;
  SPIKESERVE_ASSIGN_OR_RETURN(found.pair_contents, identity::ReadFiles(pair_files));
  SPIKESERVE_ASSIGN_OR_RETURN(found.client_ca_contents, identity::ReadFiles(client_ca_files));
  SPIKESERVE_ASSIGN_OR_RETURN(found.pair, CheckKeyPair(pair_files, found.pair_contents));
  SPIKESERVE_RETURN_IF_ERROR(CheckClientCa(client_ca_files, found.client_ca_contents));
  return found;
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

absl::Status TlsCredentials::Check(const TlsFiles& files) { return ReadAndCheck(files).status(); }

absl::StatusOr<std::unique_ptr<TlsCredentials>> TlsCredentials::Load(const TlsFiles& files, server::EventSink events,
                                                                     absl::Duration period) {
  SPIKESERVE_ASSIGN_OR_RETURN(Found found, ReadAndCheck(files));
  std::unique_ptr<TlsCredentials> self(new TlsCredentials());
  SPIKESERVE_ASSIGN_OR_RETURN(self->key_pair_, MemoryFile::Create(found.pair.pem));
  if (!files.client_ca.empty()) {
    SPIKESERVE_ASSIGN_OR_RETURN(self->client_ca_, MemoryFile::Create(found.client_ca_contents[0]));
  }

  self->expiry_ = absl::ToUnixSeconds(found.pair.expiry);
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
  self->key_pair_watch_ = std::make_unique<identity::FileWatch>(
      KeyPairFiles(files), std::move(found.pair_contents),
      [self = self.get(), pair_files = KeyPairFiles(files)](const std::vector<std::string>& changed) -> absl::Status {
        SPIKESERVE_ASSIGN_OR_RETURN(const KeyPair next, CheckKeyPair(pair_files, changed));
        SPIKESERVE_RETURN_IF_ERROR(self->key_pair_->Replace(next.pem));
        self->expiry_ = absl::ToUnixSeconds(next.expiry);
        return absl::OkStatus();
      },
      events, period);
  if (self->client_ca_ == nullptr) return self;
  self->client_ca_watch_ = std::make_unique<identity::FileWatch>(
      ClientCaFiles(files), std::move(found.client_ca_contents),
      [self = self.get(),
       client_ca_files = ClientCaFiles(files)](const std::vector<std::string>& changed) -> absl::Status {
        SPIKESERVE_RETURN_IF_ERROR(CheckClientCa(client_ca_files, changed));
        return self->client_ca_->Replace(changed[0]);
      },
      std::move(events), period);
  return self;
}

}  // namespace spikeserve::rpc

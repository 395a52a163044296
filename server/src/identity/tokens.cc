#include "identity/tokens.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "spikeserve/compute/field_error.h"
#include "status_macros.h"

namespace spikeserve::identity {
namespace {

constexpr char kFlag[] = "--tokens";
constexpr char kLine[] = "NAME:SHA256HEX, as `spikectl token NAME` prints it";

bool AllOf(std::string_view text, absl::string_view others) {
  return std::all_of(text.begin(), text.end(),
                     [&](unsigned char c) { return absl::ascii_isalnum(c) || others.find(c) != others.npos; });
}

std::optional<Sha256Digest> ParseDigest(absl::string_view hex) {
  Sha256Digest digest;
  if (hex.size() != 2 * digest.size() || !std::all_of(hex.begin(), hex.end(), absl::ascii_isxdigit)) {
    return std::nullopt;
  }
  const std::string bytes = absl::HexStringToBytes(hex);
  std::copy(bytes.begin(), bytes.end(), digest.begin());
  return digest;
}

bool AreSame(const Sha256Digest& a, const Sha256Digest& b) { return CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0; }

absl::StatusOr<TokenSet> ParseFile(const std::string& path, const std::string& text) {
  absl::StatusOr<TokenSet> tokens = TokenSet::Parse(text);
  if (tokens.ok()) return tokens;
  return absl::InvalidArgumentError(absl::StrCat(kFlag, ": the file ", path, ": ", tokens.status().message()));
}

}  // namespace

Sha256Digest Sha256(std::string_view bytes) {
  Sha256Digest digest;
  SHA256(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size(), digest.data());
  return digest;
}

bool IsTokenName(std::string_view name) { return !name.empty() && name.size() <= 64 && AllOf(name, "._-"); }

bool IsToken(std::string_view token) {
  constexpr size_t kMaxSize = 1024;
  if (token.size() > kMaxSize) return false;
  while (!token.empty() && token.back() == '=') token.remove_suffix(1);
  return !token.empty() && AllOf(token, "-._~+/");
}

std::string TokenLine(std::string_view name, std::string_view token) {
  const Sha256Digest digest = Sha256(token);
  return absl::StrCat(std::string(name), ":",
                      absl::BytesToHexString({reinterpret_cast<const char*>(digest.data()), digest.size()}));
}

absl::StatusOr<TokenSet> TokenSet::Parse(std::string_view text) {
  TokenSet set;
  int number = 0;
  for (absl::string_view line : absl::StrSplit(absl::string_view(text.data(), text.size()), '\n')) {
    const std::string place = absl::StrCat("line ", ++number);
    line = absl::StripAsciiWhitespace(line);
    if (line.empty() || line[0] == '#') continue;
    const size_t colon = line.find(':');
    if (colon == line.npos) return InvalidField(place, "has no colon", kLine);
    const std::string name(line.substr(0, colon));
    if (!IsTokenName(name)) {
      return InvalidField(place, "has a name that is none", "1 to 64 letters, digits, '.', '_' and '-'");
    }
    const std::optional<Sha256Digest> digest = ParseDigest(line.substr(colon + 1));
    if (!digest) return InvalidField(place, "has no SHA-256 of 64 hexadecimal digits", kLine);
    const auto is_same = [&](const Entry& entry) { return AreSame(entry.digest, *digest); };
    if (std::any_of(set.entries_.begin(), set.entries_.end(), is_same)) {
      return InvalidField(place, "has a token that another line has, too", "a token of its own");
    }
    set.entries_.push_back({name, *digest});
  }
  if (set.entries_.empty())
    return absl::InvalidArgumentError(absl::StrCat("no tokens; need one ", kLine, ", at least"));
  return set;
}

std::optional<std::string> TokenSet::NameOf(std::string_view token) const {
  const Sha256Digest digest = Sha256(token);
  const Entry* found = nullptr;
  for (const Entry& entry : entries_) {
    if (AreSame(entry.digest, digest)) found = &entry;
  }
  if (found == nullptr) return std::nullopt;
  return found->name;
}

std::vector<std::string> TokenSet::Names() const {
  std::vector<std::string> names;
  for (const Entry& entry : entries_) names.push_back(entry.name);
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

TokenFile::TokenFile(TokenSet tokens) : tokens_(std::make_shared<const TokenSet>(std::move(tokens))) {}

absl::Status TokenFile::Check(const std::string& path) {
  SPIKESERVE_ASSIGN_OR_RETURN(const std::vector<std::string> contents, ReadFiles({{kFlag, path}}));
  return ParseFile(path, contents[0]).status();
}

absl::StatusOr<std::unique_ptr<TokenFile>> TokenFile::Open(const std::string& path, server::EventSink events,
                                                           absl::Duration period) {
  const std::vector<FlagFile> files = {{kFlag, path}};
  SPIKESERVE_ASSIGN_OR_RETURN(std::vector<std::string> contents, ReadFiles(files));
  SPIKESERVE_ASSIGN_OR_RETURN(TokenSet tokens, ParseFile(path, contents[0]));
  std::unique_ptr<TokenFile> self(new TokenFile(std::move(tokens)));
  self->watch_ = std::make_unique<FileWatch>(
      files, std::move(contents),
      [self = self.get(), path](const std::vector<std::string>& changed) -> absl::Status {
        SPIKESERVE_ASSIGN_OR_RETURN(TokenSet next, ParseFile(path, changed[0]));
        auto shared = std::make_shared<const TokenSet>(std::move(next));
        const std::lock_guard lock(self->mutex_);
        self->tokens_ = std::move(shared);
        return absl::OkStatus();
      },
      std::move(events), period);
  return self;
}

std::optional<std::string> TokenFile::NameOf(std::string_view token) const { return Now()->NameOf(token); }

std::vector<std::string> TokenFile::Names() const { return Now()->Names(); }

std::shared_ptr<const TokenSet> TokenFile::Now() const {
  const std::lock_guard lock(mutex_);
  return tokens_;
}

}  // namespace spikeserve::identity

// Files of NumPy: as they are written here, as NumPy writes them, and what is refused.

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "fuzz/corpus.h"
#include "fuzz/fuzzing.h"
#include "npz/npy.h"
#include "npz/npz.h"

namespace spikeserve::testing {
namespace {

std::string Npy(char version, const std::string& literal, const std::string& data) {
  const std::string header = literal + "\n";
  std::string bytes = "\x93NUMPY";
  bytes += {version, '\0', static_cast<char>(header.size() & 0xff), static_cast<char>(header.size() >> 8)};
  if (version > 1) bytes.append(2, '\0');
  return bytes + header + data;
}

std::string Npy(const char* descr, const char* shape, const std::string& data, const char* order = "False") {
  return Npy(1, absl::StrCat("{'descr': ", descr, ", 'fortran_order': ", order, ", 'shape': ", shape, ", }"), data);
}

// What is wrong with a member of an archive, or just rare.
struct ZipMember {
  std::string name;
  std::string bytes;
  uint16_t method = 0;
  // How much more the directory claims than there is.
  uint32_t more = 0;
  // What the checksum differs by.
  uint32_t checksum = 0;
};

uint32_t Crc32(const std::string& bytes) {
  uint32_t crc = ~0u;
  for (const char byte : bytes) {
    crc ^= static_cast<uint8_t>(byte);
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
  }
  return ~crc;
}

std::string Number(uint32_t value, int bytes) {
  std::string number;
  for (int i = 0; i < bytes; ++i) number += static_cast<char>(value >> 8 * i);
  return number;
}

// An archive of members that are stored, as np.savez has them. (WriteNpz deflates.)
std::string Zip(const std::vector<ZipMember>& members) {
  std::string files, directory;
  for (const ZipMember& member : members) {
    const auto size = static_cast<uint32_t>(member.bytes.size());
    // Version, flags, method, time, 1980-01-01; checksum and sizes; the lengths of the name and of what else there is.
    const std::string common = Number(20, 2) + Number(0, 2) + Number(member.method, 2) + Number(0, 2) + Number(33, 2) +
                               Number(Crc32(member.bytes) + member.checksum, 4) + Number(size, 4) +
                               Number(size + member.more, 4) + Number(static_cast<uint32_t>(member.name.size()), 2) +
                               Number(0, 2);
    directory += "PK\1\2" + Number(20, 2) + common + Number(0, 2) + Number(0, 2) + Number(0, 2) + Number(0, 4) +
                 Number(static_cast<uint32_t>(files.size()), 4) + member.name;
    files += "PK\3\4" + common + member.name + member.bytes;
  }
  const auto count = Number(static_cast<uint32_t>(members.size()), 2);
  return files + directory + "PK\5\6" + Number(0, 4) + count + count +
         Number(static_cast<uint32_t>(directory.size()), 4) + Number(static_cast<uint32_t>(files.size()), 4) +
         Number(0, 2);
}

// As in tests/client/data: every type, order and version that is read, and what is refused.
void AddNumpyCases(const Corpus& corpus) {
  const std::pair<const char*, size_t> types[] = {
      {"|b1", 1}, {"|u1", 1}, {"|i1", 1}, {"<i2", 2}, {"<u2", 2}, {"<i4", 4}, {"<u4", 4}, {"<i8", 8},
      {"<f2", 2}, {"<f4", 4}, {"<f8", 8}, {">f4", 4}, {"<u8", 8}, {"<c8", 8}, {"<U2", 8}, {"|O", 8}};
  for (const auto& [type, size] : types) {
    // The least number of the type, -1 or the greatest, and a NaN where it has one.
    const std::string data = std::string(size - 1, '\0') + '\x80' + std::string(size, '\xff');
    corpus.Add(absl::StrCat("type_", type + 1, type[0] == '>' ? "_big_endian" : "", ".npy"),
               Npy(absl::StrCat("'", type, "'").c_str(), "(2,)", data));
  }
  const std::string one = Npy("'<i4'", "(1,)", "abcd");
  const std::pair<const char*, std::string> files[] = {
      {"record.npy", Npy("[('x', '<f4'), ('y', '<i4')]", "(1,)", "abcdefgh")},
      {"scalar.npy", Npy("'<f4'", "()", "abcd")},
      {"empty.npy", Npy("'<f4'", "(0, 3)", "")},
      {"zero_length_fortran.npy", Npy("'<f4'", "(4611686018427387904, 4611686018427387904, 0)", "", /*order=*/"True")},
      {"overflow.npy", Npy("'|u1'", "(9223372036854775807, 9223372036854775807)", "")},
      {"number_as_shape.npy", Npy("'|u1'", "(3)", "abc")},
      {"python_2.npy", Npy("'|u1'", "(3L,)", "abc")},
      {"fortran_3.npy", Npy("'|u1'", "(1, 2, 3)", "abcdef", /*order=*/"True")},
      {"version_2.npy", Npy(2, "{'descr': '|u1', 'fortran_order': False, 'shape': (1,), }", "a")},
      {"version_3.npy", Npy(3, "{'shape': (1,), 'descr': \"|u1\", 'fortran_order': False}", "a")},
      {"version_4.npy", Npy(4, "{'descr': '|u1', 'fortran_order': False, 'shape': (1,), }", "a")},
      {"header_without_end.npy", std::string("\x93NUMPY\2\0\xff\xff\xff\xff{", 13)},
      {"header_of_nothing.npy", std::string("\x93NUMPY\1\0\0\0", 10)},
      {"stored.npz", Zip({{"a.npy", one}, {"b", Npy("'|b1'", "(2, 1)", "ab")}})},
      {"stored_twice.npz", Zip({{"a.npy", one}, {"a", one}})},
      {"stored_nothing.npz", Zip({})},
      {"another_method.npz", Zip({{.name = "v.npy", .bytes = one, .method = 12}})},
      {"not_deflated.npz", Zip({{.name = "v.npy", .bytes = one, .method = 8}})},
      {"claims_more.npz", Zip({{.name = "v.npy", .bytes = one, .more = 1}})},
      {"claims_gigabytes.npz", Zip({{.name = "v.npy", .bytes = one, .method = 8, .more = 0xf0000000}})},
      {"wrong_checksum.npz", Zip({{.name = "v.npy", .bytes = one, .checksum = 1}})},
      {"no_array.npz", Zip({{"readme.txt", "no array"}})},
  };
  for (const auto& [name, bytes] : files) corpus.Add(name, bytes);
}

void AddWrittenFiles(const Corpus& corpus) {
  const std::vector<float> floats = {1, -0.5f, 3e30f, 0, 2, 7};
  const std::vector<uint8_t> bytes = {0, 1, 2, 255};
  const TensorView matrix(absl::MakeConstSpan(floats), {2, 3}), vector(absl::MakeConstSpan(bytes), {4});
  corpus.Add("matrix.npy", npz::FormatNpy(matrix));
  corpus.Add("vector.npy", npz::FormatNpy(vector));
  corpus.Add("fortran.npy", std::string("\x93NUMPY\1\0\x46\0", 10) +
                                "{'descr': '<f2', 'fortran_order': True, 'shape': (2, 1), }           \n" + "abcd");
  SPIKESERVE_REQUIRE(npz::WriteNpz(corpus.Path("two.npz"), {{"a", matrix}, {"b", vector}}).ok());
}

}  // namespace

void AddNumpyFiles(const Corpus& corpus) {
  AddWrittenFiles(corpus);
  AddNumpyCases(corpus);
}

}  // namespace spikeserve::testing

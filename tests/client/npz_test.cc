#include "npz/npz.h"

#include <sys/stat.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>

#include "file/file.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "npz/npy.h"
#include "support/test_folder.h"

namespace spikeserve::npz {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::ElementsAreArray;
using ::testing::HasSubstr;
using ::testing::Pair;
using ::testing::StartsWith;

const std::string kData = SPIKESERVE_NPZ_DATA_DIR;

// A folder of its own for each test.
class NpzFile : public ::testing::Test {
 protected:
  std::string Path(const std::string& name) const { return folder_.Path(name); }

 private:
  const testing::TestFolder folder_;
};

// A .npy file of version 1.0.
std::string Npy(const std::string& literal, const std::string& data, char version = 1) {
  const auto length = static_cast<uint32_t>(literal.size() + 1);
  std::string bytes("\x93NUMPY");
  bytes += version;
  bytes += '\0';
  bytes.append(reinterpret_cast<const char*>(&length), version == 1 ? 2 : 4);
  return bytes + literal + "\n" + data;
}

std::string NpyOfShape(const std::string& shape, const std::string& data, const std::string& descr = "<f4") {
  return Npy("{'descr': '" + descr + "', 'fortran_order': False, 'shape': " + shape + ", }", data);
}

std::string MessageOf(std::string_view bytes) {
  const absl::StatusOr<Tensor> tensor = ParseNpy(bytes);
  if (tensor.ok()) return "(none)";
  EXPECT_EQ(tensor.status().code(), absl::StatusCode::kInvalidArgument);
  return std::string(tensor.status().message());
}

void ExpectSame(const TensorView& a, const TensorView& b) {
  ASSERT_EQ(a.dtype(), b.dtype());
  ASSERT_EQ(a.shape(), b.shape());
  EXPECT_EQ(a.byte_size() == 0 ? 0 : std::memcmp(a.data(), b.data(), a.byte_size()), 0);
}

std::vector<std::string> NamesOf(const std::map<std::string, Tensor>& arrays) {
  std::vector<std::string> names;
  for (const auto& [name, tensor] : arrays) names.push_back(name);
  return names;
}

TEST(Npy, WhatIsFormattedParsesToTheSame) {
  for (const DataType dtype : {DataType::kBool, DataType::kUint8, DataType::kInt32, DataType::kInt64,
                               DataType::kFloat32, DataType::kFloat64}) {
    for (const Shape& shape : {Shape{}, Shape{0}, Shape{1}, Shape{7}, Shape{0, 3}, Shape{3, 0}, Shape{2, 3, 5}}) {
      Tensor tensor(dtype, shape);
      for (int64_t i = 0; i < tensor.byte_size(); ++i) {
        static_cast<uint8_t*>(tensor.data())[i] = dtype == DataType::kBool ? i % 3 == 0 : 37 * i + 11;
      }
      const std::string bytes = FormatNpy(tensor);
      EXPECT_EQ((bytes.size() - tensor.byte_size()) % 64, 0u);
      const absl::StatusOr<Tensor> parsed = ParseNpy(bytes);
      ASSERT_TRUE(parsed.ok()) << parsed.status();
      ExpectSame(*parsed, tensor);
    }
  }
}

TEST(Npy, BitsAreWrittenAsBool) {
  const uint8_t bits[] = {0b00000101, 0b10, 0b10000000, 0b01};  // Two rows of ten.
  const absl::StatusOr<Tensor> parsed = ParseNpy(FormatNpy(TensorView(DataType::kBit, {2, 10}, bits)));
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  ASSERT_EQ(parsed->dtype(), DataType::kBool);
  EXPECT_EQ(parsed->shape(), (Shape{2, 10}));
  EXPECT_THAT(parsed->values<bool>(), ElementsAreArray({1, 0, 1, 0, 0, 0, 0, 0, 0, 1,  //
                                                        0, 0, 0, 0, 0, 0, 0, 1, 1, 0}));
  EXPECT_TRUE(ParseNpy(FormatNpy(TensorView(DataType::kBit, {3, 0}, nullptr))).ok());
}

TEST(Npy, AHeaderTooLongForVersion1IsWrittenAsVersion2) {
  const float value = 1.5;
  const TensorView tensor(DataType::kFloat32, Shape(30000, 1), &value);
  const std::string bytes = FormatNpy(tensor);
  EXPECT_EQ(bytes[6], 2);
  EXPECT_THAT(MessageOf(bytes), HasSubstr("more than 64 dimensions")) << "its shape is found and not taken";
}

TEST(Npy, CutOffAnywhereIsRefused) {
  const std::string bytes = FormatNpy(std::vector<float>{1, 2, 3});
  for (size_t size = 0; size < bytes.size(); ++size) {
    // A copy of just this size, so that reading beyond it is noticed.
    const std::vector<char> cut(bytes.begin(), bytes.begin() + size);
    EXPECT_NE(MessageOf(std::string_view(cut.data(), cut.size())), "(none)") << size;
  }
  EXPECT_THAT(MessageOf(bytes + "x"), HasSubstr("13 bytes of elements; need 12 for shape [3]"));
}

TEST(Npy, AnyByteOfTheHeaderMayBeWrong) {
  const std::string bytes = FormatNpy(TensorView(DataType::kFloat32, {0, 3}, nullptr));
  for (size_t i = 0; i < bytes.size(); ++i) {
    for (int value = 0; value < 256; ++value) {
      std::string wrong = bytes;
      wrong[i] = static_cast<char>(value);
      ParseNpy(wrong).status().IgnoreError();  // No crash, no allocation of what is not there.
    }
  }
}

TEST(Npy, PythonsSpellingsAreUnderstood) {
  const std::string data(24, '\0');
  for (const char* literal : {
           "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }",
           "{\"shape\":(2,3,),\"fortran_order\":False,\"descr\":\"<f4\"}",
           "  { 'shape' : ( 2L , 3L ) , 'descr' : '<f4' , 'fortran_order' : False }   ",
           "{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3)}",
       }) {
    for (const char version : {1, 2, 3}) {
      const absl::StatusOr<Tensor> parsed = ParseNpy(Npy(literal, data, version));
      ASSERT_TRUE(parsed.ok()) << literal << parsed.status();
      EXPECT_EQ(parsed->shape(), (Shape{2, 3}));
    }
  }
  EXPECT_EQ(MessageOf(NpyOfShape("(2,)", "ab", "|u1")), "(none)");
  EXPECT_EQ(MessageOf(NpyOfShape("()", "a", "<b1")), "(none)");
}

TEST(Npy, HostileHeadersAreRefused) {
  const std::string data(8, '\0');
  for (const char* shape : {"(2", "2", "(2)", "(,)", "(2,,)", "(-2,)", "(2.0,)", "(2, 'a')", "[2]", "(2,) (2,)", "",
                            "(9223372036854775808,)", "(99999999999999999999999999,)", "(0x2,)", "(2,LL)"}) {
    EXPECT_NE(MessageOf(NpyOfShape(shape, data)), "(none)") << shape;
  }
  for (const char* shape : {"(9223372036854775807,)", "(4294967296, 4294967296)", "(1152921504606846976,)",
                            "(4611686018427387904, 4, 1)"}) {
    EXPECT_THAT(MessageOf(NpyOfShape(shape, data)), HasSubstr("need less than 2^63 bytes")) << shape;
  }
  const auto ones = [](int rank) {
    std::string shape = "(";
    for (int d = 0; d < rank; ++d) shape += "1,";
    return NpyOfShape(shape + ")", "1234");
  };
  EXPECT_EQ(ParseNpy(ones(64))->shape(), Shape(64, 1));
  for (const int rank : {65, 30'000}) {
    EXPECT_THAT(MessageOf(ones(rank)), HasSubstr("header: shape of more than 64 dimensions; need at most that many"));
  }
  EXPECT_THAT(MessageOf(NpyOfShape("(1000000000000,)", data)), HasSubstr("need 4000000000000 for shape"));
  for (const char* literal : {
           "",
           "{",
           "{}",
           "{'descr': '<f4'}",
           "{'descr': '<f4', 'fortran_order': False}",
           "{'descr': '<f4', 'fortran_order': 0, 'shape': (2,)}",
           "{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (2,)}",
           "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), 'more': 1}",
           "{'descr': '<f4' 'fortran_order': False, 'shape': (2,)}",
           "{'descr': '<f4', 'fortran_order': False, 'shape': (2,)} x",
           "{'descr': '<f4, 'fortran_order': False, 'shape': (2,)}",
           "{'descr': '\\x3cf4', 'fortran_order': False, 'shape': (2,)}",
           "{'descr': <f4, 'fortran_order': False, 'shape': (2,)}",
       }) {
    EXPECT_NE(MessageOf(Npy(literal, data)), "(none)") << literal;
  }
  EXPECT_THAT(MessageOf("PK\3\4 something else"), HasSubstr("need a .npy file"));
  std::string bytes = NpyOfShape("(2,)", data);
  bytes[6] = 4;
  EXPECT_EQ(MessageOf(bytes), ".npy version 4.0; need 1.0, 2.0 or 3.0");
  EXPECT_THAT(MessageOf(std::string("\x93NUMPY\2\0\xff\xff\xff\xff{", 13)), HasSubstr("header of 4294967295 bytes"));
  EXPECT_THAT(MessageOf(std::string("\x93NUMPY\1\0\0\0", 10)), HasSubstr("header without an end of line"));
}

TEST(Npy, AnEmptyFortranArrayMayHaveAnyOtherLengths) {
  const std::string literal =
      "{'descr': '<f4', 'fortran_order': True, 'shape': (4611686018427387904, 4611686018427387904, 0)}";
  EXPECT_EQ(MessageOf(Npy(literal, "")), "(none)");
}

TEST(Npy, ABoolIsTrueWhateverByteItIs) {
  const absl::StatusOr<Tensor> parsed = ParseNpy(NpyOfShape("(3,)", std::string("\0\1\xff", 3), "|b1"));
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(std::string_view(static_cast<const char*>(parsed->data()), 3), std::string_view("\0\1\1", 3));
}

template <typename T>
void ExpectWidened(const Tensor& tensor, std::vector<T> values) {
  ASSERT_EQ(tensor.dtype(), DataTypeOf<T>::value);
  EXPECT_THAT(tensor.values<T>(), ElementsAreArray(values));
}

TEST(Npz, OfNumpyIsReadWithItsValues) {
  const auto arrays = ReadNpz(kData + "/readable.npz");
  ASSERT_TRUE(arrays.ok()) << arrays.status();
  EXPECT_EQ(arrays->size(), 17u);
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  ExpectWidened<bool>(arrays->at("bool"), {true, false});
  ExpectWidened<uint8_t>(arrays->at("uint8"), {0, 0, 1, 255});
  ExpectWidened<int32_t>(arrays->at("int8"), {-128, 0, 1, 127});
  ExpectWidened<int32_t>(arrays->at("int16"), {-32768, 0, 1, 32767});
  ExpectWidened<int32_t>(arrays->at("uint16"), {0, 0, 1, 65535});
  ExpectWidened<int32_t>(arrays->at("int32"), {-2147483647 - 1, 0, 1, 2147483647});
  ExpectWidened<int64_t>(arrays->at("uint32"), {0, 0, 1, 4294967295});
  ExpectWidened<int64_t>(arrays->at("int64"), {INT64_MIN, 0, 1, INT64_MAX});
  ExpectWidened<float>(arrays->at("float16"), {-65504, 0x1.998p-4f, 0x1p-24f, static_cast<float>(kInfinity)});
  ExpectWidened<float>(arrays->at("float32"), {-1.5, 0.1f, 1e-45f, static_cast<float>(kInfinity)});
  ExpectWidened<double>(arrays->at("float64"), {-1.5, 0.1, 5e-324, kInfinity});
  ExpectWidened<float>(arrays->at("scalar"), {2.5});
  EXPECT_EQ(arrays->at("scalar").shape(), Shape{});
  EXPECT_EQ(arrays->at("empty").shape(), (Shape{0, 3}));
  ExpectSame(arrays->at("fortran_order"), arrays->at("c_order"));
  EXPECT_EQ(arrays->at("c_order").shape(), (Shape{2, 3, 4}));
  for (int i = 0; i < 24; ++i) EXPECT_EQ(arrays->at("c_order").values<int32_t>()[i], i);
  ExpectWidened<int32_t>(arrays->at("version_2"), {0, 1, 2});
  ExpectWidened<int32_t>(arrays->at("version_3"), {0, 1, 2});
}

TEST(Npz, TypesWithoutACounterpartAreRefusedByName) {
  const std::string file = kData + "/refused.npz";
  for (const auto& [name, message] : std::map<std::string, std::string>{
           {"big_endian", "dtype \">f4\" is big-endian; need little-endian"},
           {"uint64", "dtype \"<u8\"; need bool"},
           {"complex", "dtype \"<c8\"; need bool"},
           {"text", "dtype \"<U2\"; need bool"},
           {"record", "descr at \"[('x', '<f4'), "},
           {"object", "dtype \"|O\"; need bool"},
       }) {
    const absl::StatusOr<Tensor> tensor = ReadArray(file + ":" + name);
    ASSERT_FALSE(tensor.ok()) << name;
    EXPECT_THAT(std::string(tensor.status().message()),
                AllOf(StartsWith(file + ": " + name + ": "), HasSubstr(message)));
  }
  EXPECT_THAT(std::string(ReadNpz(kData + "/bzip2.npz").status().message()),
              HasSubstr("v: compression method 12; need"));
}

TEST_F(NpzFile, WhatIsWrittenIsReadAgain) {
  const std::vector<float> v = {1, 2, 3};
  const std::vector<int64_t> labels(10000, 7);
  const std::vector<uint8_t> none;
  ASSERT_TRUE(WriteNpz(Path("a.npz"), {{"v", v}, {"group/labels", labels}, {"none", none}}).ok());
  const auto arrays = ReadNpz(Path("a.npz"));
  ASSERT_TRUE(arrays.ok()) << arrays.status();
  EXPECT_THAT(NamesOf(*arrays), ElementsAre("group/labels", "none", "v"));
  ExpectSame(arrays->at("v"), v);
  ExpectSame(arrays->at("group/labels"), labels);
  ExpectSame(arrays->at("none"), none);
  EXPECT_LT(std::filesystem::file_size(Path("a.npz")), 2000u) << "deflated";
}

TEST_F(NpzFile, IsTheSameAtAnyTimeAndPlace) {
  const std::vector<float> v = {1, 2, 3};
  ASSERT_TRUE(WriteNpz(Path("a.npz"), {{"v", v}, {"w", v}}).ok());
  setenv("TZ", "Pacific/Kiritimati", 1);
  tzset();
  ASSERT_TRUE(WriteNpz(Path("b.npz"), {{"v", v}, {"w", v}}).ok());
  const std::string bytes = *file::ReadFile(Path("a.npz"));
  EXPECT_EQ(bytes, *file::ReadFile(Path("b.npz")));
  const std::string midnight_of_1980("\0\0\x21\0", 4);
  EXPECT_EQ(bytes.substr(10, 4), midnight_of_1980) << "before the first member";
  EXPECT_EQ(bytes.substr(bytes.find("PK\1\2") + 12, 4), midnight_of_1980) << "in the directory";
}

TEST_F(NpzFile, DamagedAnywhereNeitherCrashesNorGoesUnnoticed) {
  const std::vector<float> v = {1, 2, 3};
  ASSERT_TRUE(WriteNpz(Path("a.npz"), {{"v", v}}).ok());
  const std::string bytes = *file::ReadFile(Path("a.npz"));
  const auto read = [&](const std::string& damaged) {
    std::ofstream(Path("b.npz"), std::ios::binary) << damaged;
    return ReadNpz(Path("b.npz"));
  };
  for (size_t size = 0; size < bytes.size(); ++size) EXPECT_FALSE(read(bytes.substr(0, size)).ok()) << size;
  for (size_t i = 0; i < bytes.size(); ++i) {
    for (const int flip : {1, 2, 8, 0x80, 0xff}) {
      std::string damaged = bytes;
      damaged[i] ^= flip;
      const auto arrays = read(damaged);
      // A bit of the directory that says nothing of the array may change; the array never does.
      if (arrays.ok() && arrays->count("v") != 0) ExpectSame(arrays->at("v"), v);
    }
  }
}

TEST_F(NpzFile, ADirectoryThatClaimsMoreThanItsBytesCanExpandToIsRefused) {
  // The claim stands in the central directory at offset 24, in the local header at 22.
  std::string bytes = *file::ReadFile(kData + "/one.npz");
  const std::string claim = "\xff\xff\xff\x7f";
  bytes.replace(bytes.find("PK\1\2") + 24, 4, claim);
  std::ofstream(Path("bomb.npz"), std::ios::binary) << bytes;
  EXPECT_THAT(std::string(ReadNpz(Path("bomb.npz")).status().message()), HasSubstr("claims 2147483647 bytes"));
}

TEST_F(NpzFile, AMemberWhoseHeaderDisagreesWithItsSizeIsRefused) {
  std::string bytes = *file::ReadFile(kData + "/one.npz");
  bytes.replace(bytes.find("(2, 3)"), 6, "(2, 9)");
  ASSERT_TRUE(file::WriteFile(Path("a.npz"), bytes).ok());
  EXPECT_EQ(ReadArray(Path("a.npz:v")).status().message(),
            Path("a.npz") + ": v: 24 bytes of elements; need 72 for shape [2, 9]");
}

TEST_F(NpzFile, ReadArrayTakesAFileOrAMember) {
  const std::vector<float> v = {1, 2, 3}, w = {4};
  ASSERT_TRUE(WriteNpy(Path("v.npy"), v).ok());
  ASSERT_TRUE(WriteNpz(Path("one.npz"), {{"v", v}}).ok());
  ASSERT_TRUE(WriteNpz(Path("two.npz"), {{"v", v}, {"w", w}}).ok());
  ExpectSame(ReadArray(Path("v.npy")).value(), v);
  ExpectSame(ReadArray(Path("one.npz")).value(), v);
  ExpectSame(ReadArray(Path("two.npz:w")).value(), w);
  ExpectSame(ReadArray(Path("two.npz:w.npy")).value(), w);
  EXPECT_EQ(ReadArray(Path("two.npz")).status().message(),
            Path("two.npz") + ": no name given; need " + Path("two.npz") + ":NAME, NAME one of: v, w");
  EXPECT_THAT(std::string(ReadArray(Path("two.npz:x")).status().message()), HasSubstr("no array x; need"));
  EXPECT_THAT(std::string(ReadArray(Path("two.npz:")).status().message()), HasSubstr("no array ; need"));
  EXPECT_THAT(std::string(ReadArray("v.txt").status().message()), StartsWith("v.txt: not an array's name; need"));
  EXPECT_EQ(ReadArray(Path("none.npy")).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(ReadArray(Path("none.npz:v")).status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(ReadArray(Path("none.npz")).status().message()), StartsWith(Path("none.npz")));
}

TEST_F(NpzFile, OfNoArraysOrNoNamesOrEqualNamesIsNotWritten) {
  const std::vector<float> v = {1};
  EXPECT_THAT(std::string(WriteNpz(Path("a.npz"), {}).message()), HasSubstr("no arrays; need one"));
  EXPECT_THAT(std::string(WriteNpz(Path("a.npz"), {{"", v}}).message()), HasSubstr("without a name"));
  EXPECT_THAT(std::string(WriteNpz(Path("a.npz"), {{"v", v}, {"v", v}}).message()), HasSubstr("cannot write v"));
  EXPECT_FALSE(std::filesystem::exists(Path("a.npz")));
}

TEST_F(NpzFile, AFailedWriteLeavesTheOldFileAndNothingElse) {
  EXPECT_EQ(file::WriteFile(Path("none/a"), "x").code(), absl::StatusCode::kNotFound);
  std::filesystem::create_directory(Path("folder"));
  EXPECT_FALSE(file::WriteFile(Path("folder"), "x").ok());
  const std::vector<float> v = {1};
  EXPECT_THAT(std::string(WriteNpy(Path("none/a.npy"), v).message()), StartsWith(Path("none/a.npy: cannot create")));
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(Path("")), {}), 1);
}

TEST_F(NpzFile, AWriteReplacesWhatALinkLeadsToAndKeepsTheMode) {
  ASSERT_TRUE(file::WriteFile(Path("a"), "old").ok());
  ASSERT_EQ(chmod(Path("a").c_str(), 0640), 0);
  std::filesystem::create_symlink("a", Path("link"));
  ASSERT_TRUE(file::WriteFile(Path("link"), "new").ok());
  EXPECT_TRUE(std::filesystem::is_symlink(Path("link")));
  EXPECT_EQ(*file::ReadFile(Path("a")), "new");
  EXPECT_EQ(static_cast<int>(std::filesystem::status(Path("a")).permissions()), 0640);
}

TEST_F(NpzFile, AFileOfAnySizeIsReadWhole) {
  for (const size_t size : {0, 1, 65535, 65536, 65537, 200001}) {
    const std::string bytes(size, 'x');
    ASSERT_TRUE(file::WriteFile(Path("a"), bytes).ok());
    EXPECT_EQ(*file::ReadFile(Path("a")), bytes);
  }
  EXPECT_TRUE(file::WriteFile("/dev/null", "x").ok());
  EXPECT_FALSE(std::filesystem::is_regular_file("/dev/null"));
  EXPECT_FALSE(file::ReadFile(Path("")).ok());
}

}  // namespace
}  // namespace spikeserve::npz

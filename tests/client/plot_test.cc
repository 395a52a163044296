#include "plot/plot.h"

#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <limits>
#include <vector>

#include "absl/strings/str_cat.h"
#include "file/file.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "support/test_folder.h"

namespace spikeserve::plot {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

// A folder of its own for each test.
class Plot : public ::testing::Test {
 protected:
  std::string Path(const std::string& name) const { return folder_.Path(name); }
  std::string Read(const std::string& name) const { return file::ReadFile(Path(name)).value_or(""); }

 private:
  const testing::TestFolder folder_;
};

// Sets PATH, and back at the end.
class ScopedPath {
 public:
  explicit ScopedPath(const std::string& path) : old_(getenv("PATH")) { setenv("PATH", path.c_str(), 1); }
  ~ScopedPath() { setenv("PATH", old_.c_str(), 1); }

 private:
  std::string old_;
};

Tensor Diagonal(int64_t rows, int64_t columns) {
  Tensor tensor(DataType::kUint8, {rows, columns});
  for (int64_t i = 0; i < std::min(rows, columns); ++i) tensor.values<uint8_t>()[i * columns + i] = 1;
  return tensor;
}

struct Size {
  uint32_t width, height;
  bool operator==(const Size&) const = default;
};

// Of a PNG; 0 x 0 for what is none.
Size PngSize(std::string_view bytes) {
  constexpr std::string_view kStart("\x89PNG\r\n\x1a\n\0\0\0\rIHDR", 16);
  if (bytes.size() < 24 || bytes.substr(0, kStart.size()) != kStart) return {0, 0};
  const auto number = [&](size_t at) {
    uint32_t value = 0;
    for (size_t i = at; i < at + 4; ++i) value = value << 8 | static_cast<uint8_t>(bytes[i]);
    return value;
  };
  return {number(16), number(20)};
}

size_t Count(std::string_view text, std::string_view what) {
  size_t count = 0;
  for (size_t at = text.find(what); at != text.npos; at = text.find(what, at + 1)) ++count;
  return count;
}

// What makes `xml` not well-formed, empty for nothing: elements that are not nested, attributes without quotes, bare
// & and <, characters that XML does not have.
std::string Malformed(std::string_view xml) {
  std::vector<std::string> open;
  size_t at = 0;
  while (at < xml.size()) {
    const char c = xml[at];
    if (static_cast<uint8_t>(c) < 0x20 && c != '\n' && c != '\t' && c != '\r') return "control character";
    if (c == '&') {
      const size_t end = xml.find(';', at);
      if (end == xml.npos || end - at > 8) return "bare &";
    }
    if (xml.substr(at, 3) == "]]>") return "bare ]]>";
    if (c != '<') {
      ++at;
      continue;
    }
    if (xml.substr(at, 4) == "<!--") {
      at = xml.find("-->", at);
      if (at == xml.npos) return "open comment";
      continue;
    }
    size_t end = at + 1;
    char quote = 0;
    for (; end < xml.size() && (quote != 0 || xml[end] != '>'); ++end) {
      if (xml[end] == '<') return "bare <";
      if (quote != 0 && xml[end] == quote) {
        quote = 0;
      } else if (quote == 0 && (xml[end] == '"' || xml[end] == '\'')) {
        if (xml[xml.find_last_not_of(' ', end - 1)] != '=') return "stray quote";
        quote = xml[end];
      }
    }
    if (end == xml.size()) return "open tag";
    const std::string tag(xml.substr(at + 1, end - at - 1));
    const std::string name = tag.substr(0, tag.find_first_of(" \n\t/", 1));
    if (tag[0] == '/') {
      if (open.empty() || open.back() != tag.substr(1)) return "unexpected <" + tag + ">";
      open.pop_back();
    } else if (tag[0] != '?' && tag[0] != '!' && tag.back() != '/') {
      open.push_back(name);
    }
    at = end + 1;
  }
  return open.empty() ? "" : "open <" + open.back() + ">";
}

TEST_F(Plot, OfARasterIsAPngOfTheGivenSize) {
  const absl::Status status = PlotRaster(Diagonal(10, 10), {.width = 640, .height = 360}, Path("a.png"));
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_EQ(PngSize(Read("a.png")), (Size{640, 360}));
}

TEST_F(Plot, OfAnyShapeChoosesASize) {
  for (const auto& [rows, columns] : std::vector<std::pair<int, int>>{
           {1, 1}, {1, 30}, {30, 1}, {2, 3}, {100, 100}, {1000, 50}, {50, 3000}, {1000, 10000}}) {
    for (const auto& draw : {PlotRaster, PlotHeatmap}) {
      const absl::Status status = draw(Diagonal(rows, columns), {}, Path("a.png"));
      ASSERT_TRUE(status.ok()) << status;
      const Size size = PngSize(Read("a.png"));
      EXPECT_TRUE(size.width >= 300 && size.width <= 2700 && size.height >= 250 && size.height <= 2700)
          << rows << " x " << columns << ": " << size.width << " x " << size.height;
    }
  }
}

TEST_F(Plot, OfAnyShapeFitsTheGivenSize) {
  for (const auto& [rows, columns] : std::vector<std::pair<int, int>>{{1, 1}, {3, 1000}, {1000, 3}, {777, 999}}) {
    for (const auto& draw : {PlotRaster, PlotHeatmap}) {
      for (const auto& [width, height] : {std::pair(300, 300), std::pair(300, 2000), std::pair(2000, 300)}) {
        const absl::Status status = draw(Diagonal(rows, columns), {.width = width, .height = height}, Path("a.png"));
        ASSERT_TRUE(status.ok()) << status;
        EXPECT_EQ(PngSize(Read("a.png")), (Size{static_cast<uint32_t>(width), static_cast<uint32_t>(height)}));
      }
    }
  }
}

TEST_F(Plot, OfARasterHasAMarkForEachSpike) {
  ASSERT_TRUE(PlotRaster(Diagonal(20, 30), {}, Path("a.svg")).ok());
  const std::string svg = Read("a.svg");
  EXPECT_EQ(Malformed(svg), "");
  EXPECT_EQ(Count(svg, "<polygon"), 20u);
  EXPECT_EQ(Count(svg, "<text>time step</text>"), 1u);
  EXPECT_EQ(Count(svg, "<text>neuron</text>"), 1u);
}

TEST_F(Plot, OfBitsIsThatOfBools) {
  const uint8_t bits[] = {0b101, 0b010};
  ASSERT_TRUE(PlotRaster(TensorView(DataType::kBit, {2, 3}, bits), {}, Path("a.svg")).ok());
  EXPECT_EQ(Count(Read("a.svg"), "<polygon"), 3u);
}

TEST_F(Plot, OfSilentNeuronsHasAxesOnly) {
  ASSERT_TRUE(PlotRaster(Tensor(DataType::kBool, {20, 30}), {}, Path("a.svg")).ok());
  EXPECT_EQ(Malformed(Read("a.svg")), "");
  EXPECT_EQ(Count(Read("a.svg"), "<polygon"), 0u);
}

TEST_F(Plot, OfMoreNeuronsThanPixelsTellsWhatAColorStandsFor) {
  ASSERT_TRUE(PlotRaster(Diagonal(10, 2000), {}, Path("a.svg")).ok());
  EXPECT_EQ(Malformed(Read("a.svg")), "");
  EXPECT_EQ(Count(Read("a.svg"), "spikes (in 1 time step of 3 neurons)"), 1u);
}

TEST_F(Plot, OfAMatrixHasSharpCellsAndALabelledColorBar) {
  ASSERT_TRUE(PlotHeatmap(Diagonal(12, 12), {.x_label = "sample", .value_label = "similarity"}, Path("a.svg")).ok());
  const std::string svg = Read("a.svg");
  EXPECT_EQ(Malformed(svg), "");
  EXPECT_EQ(Count(svg, "<image image-rendering='pixelated'"), 1u);
  for (const char* label : {"similarity", "sample", "row"}) {
    EXPECT_EQ(Count(svg, absl::StrCat("<text>", label, "</text>")), 1u) << label;
  }
}

TEST_F(Plot, OfConstantsAndNotNumbersIsDrawn) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
  for (const std::vector<double>& values : std::vector<std::vector<double>>{{0, 0, 0, 0},
                                                                            {1e30, 1e30, 1e30, 1e30},
                                                                            {kNaN, kNaN, kNaN, kNaN},
                                                                            {kNaN, 1, 2, -kInfinity},
                                                                            {kInfinity, 1, 2, 3},
                                                                            {-1e-300, 1e-300, 0, 0}}) {
    const absl::Status status = PlotHeatmap(TensorView(absl::MakeConstSpan(values), {2, 2}), {}, Path("a.png"));
    EXPECT_TRUE(status.ok()) << status;
  }
}

TEST_F(Plot, ShowsATitleAsItIs) {
  const std::string title = "it's \"quoted\" \\ `touch x` $(touch x) @x <&> ]]> _{x} %d \xc3\xbc \\";
  const PlotOptions options = {.title = title + "\n\x01\xff\xed\xa0\x80", .x_label = "a'b", .value_label = "\\'"};
  for (const auto& draw : {PlotRaster, PlotHeatmap}) {
    const absl::Status status = draw(Diagonal(3, 3), options, Path("a.svg"));
    ASSERT_TRUE(status.ok()) << status;
    EXPECT_EQ(Malformed(Read("a.svg")), "");
    EXPECT_EQ(Count(Read("a.svg"), "it's \"quoted\" \\ `touch x` $(touch x) @x &lt;&amp;> ]]&gt; _{x} %d \xc3\xbc \\"),
              1u);
    EXPECT_EQ(Count(Read("a.svg"), "<text>a'b</text>"), 1u);
  }
  EXPECT_FALSE(std::filesystem::exists("x"));
  const std::string strange = Path("it's `touch x` \\ \".png");
  EXPECT_TRUE(PlotRaster(Diagonal(3, 3), {}, strange).ok());
  EXPECT_TRUE(std::filesystem::exists(strange));
}

TEST_F(Plot, OfCurvesHasAMarkForEachPointAndLabels) {
  constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
  const std::vector<Curve> curves = {
      {.label = "loss", .x = {1, 2, 3}, .y = {2.5, 0.5, 0.25}},
      {.label = "accuracy", .x = {1, 2, 3, 4}, .y = {10, kNone, 90, 95}, .right_axis = true}};
  const PlotOptions options{.title = "Learning", .x_label = "epoch", .y_label = "left", .value_label = "right"};
  ASSERT_EQ(PlotCurves(curves, options, Path("a.svg")), absl::OkStatus());
  const std::string svg = Read("a.svg");
  EXPECT_EQ(Malformed(svg), "");
  // The points, and a mark for each curve in the key.
  EXPECT_EQ(Count(svg, "<use xlink:href='#gpPt6'"), 3u + 3u + 2u);
  for (const char* text : {"Learning", "epoch", "left", "right", "loss", "accuracy"}) {
    EXPECT_EQ(Count(svg, absl::StrCat(">", text, "<")), 1u) << text;
  }
  // Tics at the epochs, none between them.
  EXPECT_EQ(Count(svg, "> 3.5<"), 0u);
  EXPECT_EQ(Count(svg, "> 4<"), 1u);
}

TEST_F(Plot, OfCurvesIsAPngOfTheGivenSizeAlsoForOnePointOrMany) {
  ASSERT_EQ(PlotCurves({{.label = "one", .x = {1}, .y = {0}}}, {}, Path("a.png")), absl::OkStatus());
  EXPECT_EQ(PngSize(Read("a.png")), (Size{800, 500}));
  Curve many{.label = "many", .right_axis = true};
  for (int i = 0; i < 1000; ++i) {
    many.x.push_back(i * 0.1);
    many.y.push_back(i % 7);
  }
  ASSERT_EQ(PlotCurves({many}, {.width = 400, .height = 300}, Path("a.png")), absl::OkStatus());
  EXPECT_EQ(PngSize(Read("a.png")), (Size{400, 300}));
}

TEST_F(Plot, OfWhatIsNoCurveIsRefused) {
  const double inf = std::numeric_limits<double>::infinity();
  const std::string png = Path("a.png");
  const auto message = [&](const Curve& curve) { return std::string(PlotCurves({curve}, {}, png).message()); };
  EXPECT_EQ(PlotCurves({}, {}, png).message(), "curves: none; need one at least");
  EXPECT_THAT(message({.label = "a"}), StartsWith("curves: 0 x and 0 y of a; need"));
  EXPECT_THAT(message({.label = "a", .x = {1, 2}, .y = {1}}), StartsWith("curves: 2 x and 1 y of a; need"));
  EXPECT_THAT(message({.label = "a", .x = {2, 1}, .y = {1, 1}}), HasSubstr("ascending"));
  EXPECT_THAT(message({.label = "a", .x = {1, inf}, .y = {1, 1}}), HasSubstr("finite"));
  EXPECT_THAT(message({.label = "a", .x = {1}, .y = {-inf}}), HasSubstr("an infinite y of a"));
  EXPECT_THAT(message({.label = "a", .x = {1}, .y = {inf - inf}}), HasSubstr("no point of a"));
  EXPECT_THAT(std::string(PlotCurves({{.label = "a", .x = {1}, .y = {1}}}, {}, Path("a.jpg")).message()),
              HasSubstr("need a name in .png or .svg"));
  EXPECT_FALSE(std::filesystem::exists(png));
}

TEST_F(Plot, OfWhatCannotBeDrawnIsRefused) {
  const std::string png = Path("a.png");
  const std::vector<float> twos = {0, 1, 2, 0};
  const auto message = [](const absl::Status& status) { return std::string(status.message()); };
  EXPECT_EQ(message(PlotRaster(Diagonal(3, 0), {}, png)),
            "spikes: shape [3, 0]; need [T, N] with a step and a neuron at least");
  EXPECT_THAT(message(PlotRaster(twos, {}, png)), StartsWith("spikes: shape [4]; need"));
  EXPECT_EQ(message(PlotRaster(TensorView(absl::MakeConstSpan(twos), {2, 2}), {}, png)),
            "spikes: value 2; need 0 or 1");
  EXPECT_THAT(message(PlotHeatmap(Diagonal(0, 3), {}, png)), StartsWith("matrix: shape [0, 3]; need"));
  EXPECT_EQ(message(PlotHeatmap(Diagonal(3, 3), {.width = 10}, png)), "width: 10; need 300 to 10000 pixels, or 0");
  EXPECT_THAT(message(PlotHeatmap(Diagonal(3, 3), {.height = -1}, png)), StartsWith("height: -1; need"));
  EXPECT_THAT(message(PlotHeatmap(Diagonal(3, 3), {}, Path("a.jpg"))), HasSubstr("need a name in .png or .svg"));
  EXPECT_FALSE(std::filesystem::exists(png));
}

TEST_F(Plot, IntoAMissingFolderIsAnError) {
  const absl::Status status = PlotRaster(Diagonal(3, 3), {}, Path("none/a.png"));
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(status.message()), StartsWith(Path("none/a.png: cannot create")));
}

TEST_F(Plot, WithoutGnuplotSaysWhatToInstall) {
  const ScopedPath path(Path(""));
  const absl::Status status = PlotRaster(Diagonal(3, 3), {}, Path("a.png"));
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(status.message(), "gnuplot: not found; need Debian's gnuplot-nox");
}

TEST_F(Plot, ThatGnuplotFailsGivesItsWordsAndKeepsTheOldFile) {
  // This one ends without having read more of its input than fits between the two.
  ASSERT_TRUE(file::WriteFile(Path("gnuplot"), "#!/bin/sh\necho 'no room' >&2\nexit 1\n").ok());
  ASSERT_EQ(chmod(Path("gnuplot").c_str(), 0755), 0);
  ASSERT_TRUE(file::WriteFile(Path("a.png"), "old").ok());
  const ScopedPath path(Path(""));
  const absl::Status status = PlotHeatmap(Diagonal(1000, 1000), {}, Path("a.png"));
  EXPECT_EQ(status.code(), absl::StatusCode::kInternal);
  EXPECT_EQ(status.message(), Path("a.png") + ": gnuplot failed: no room");
  EXPECT_EQ(Read("a.png"), "old");
}

}  // namespace
}  // namespace spikeserve::plot

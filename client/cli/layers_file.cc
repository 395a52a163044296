#include "cli/layers_file.h"

#include <cstdint>
#include <filesystem>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "codec/nested_tensors.h"
#include "codec/network_codec.h"
#include "codec/tensor_codec.h"
#include "file/file.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/message.h"
#include "google/protobuf/util/json_util.h"
#include "npz/npz.h"
#include "printable.h"
#include "spikeserve/v1/networks.pb.h"
#include "status_macros.h"
#include "train/parameters.h"

namespace spikeserve::cli {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

bool IsTensor(const FieldDescriptor& field) { return field.message_type() == v1::Tensor::descriptor(); }

// The message in the field of `message`, made where there is none.
Message& MutableField(Message& message, const FieldDescriptor& field) {
  return *message.GetReflection()->MutableMessage(&message, &field);
}

// The value of `field`, which JSON may call by either of two names; nullptr where there is none.
Json* Find(Json& object, const FieldDescriptor& field) {
  if (!object.is_object()) return nullptr;
  for (const std::string& name : {field.name(), field.json_name()}) {
    if (const auto found = object.find(name); found != object.end()) return &*found;
  }
  return nullptr;
}

// A tensor for which a string stands, or a list of lengths.
struct StandIn {
  int layer;
  const FieldDescriptor* kind;
  const FieldDescriptor* tensor;
  Json value;

  std::string Field() const { return absl::StrCat("layers[", layer, "].", kind->name(), ".", tensor->name()); }
  bool is_shape() const { return value.is_array(); }
};

// Takes what stands for tensors out of the JSON form.
std::vector<StandIn> TakeStandIns(Json& layers) {
  std::vector<StandIn> stand_ins;
  const auto* descriptor = v1::Layer::descriptor();
  for (size_t i = 0; i < layers.size(); ++i) {
    for (int k = 0; k < descriptor->field_count(); ++k) {
      const FieldDescriptor& kind = *descriptor->field(k);
      Json* parameters = Find(layers[i], kind);
      if (parameters == nullptr || kind.message_type() == nullptr) continue;
      for (int f = 0; f < kind.message_type()->field_count(); ++f) {
        const FieldDescriptor& field = *kind.message_type()->field(f);
        Json* tensor = IsTensor(field) ? Find(*parameters, field) : nullptr;
        if (tensor == nullptr || !(tensor->is_string() || tensor->is_array())) continue;
        stand_ins.push_back({static_cast<int>(i), &kind, &field, std::move(*tensor)});
        *tensor = Json::object();
      }
    }
  }
  return stand_ins;
}

// Protobuf cannot send more.
constexpr int64_t kMaxBytes = (int64_t{1} << 31) - 1;

absl::Status TooLarge() { return absl::InvalidArgumentError("the arrays of all layers are more than 2 GiB"); }

// The zeros that are there until the parameter is drawn, of at most `max_bytes`.
absl::StatusOr<Tensor> ZerosOfShape(const Json& lengths, int64_t max_bytes) {
  const auto refused = [&] {
    return absl::InvalidArgumentError(absl::StrCat("got ", std::string(CutLine(lengths.dump(), 80)),
                                                   "; need an array, or a shape to draw it of: lengths >= 1"));
  };
  Shape shape;
  for (const Json& length : lengths) {
    if (!length.is_number_integer() || length.get<int64_t>() < 1) return refused();
    shape.push_back(length.get<int64_t>());
  }
  if (shape.empty()) return refused();
  if (ByteCount(DataType::kFloat32, shape).value_or(max_bytes + 1) > max_bytes) return TooLarge();
  return Tensor(DataType::kFloat32, std::move(shape));
}

// Writing JSON for Protobuf takes a call for each level.
constexpr int kMaxDepth = 64;

bool IsTooDeep(std::string_view json) {
  int depth = 0;
  bool in_string = false;
  for (size_t i = 0; i < json.size(); ++i) {
    const char c = json[i];
    if (in_string && c == '\\') {
      ++i;
    } else if (c == '"') {
      in_string = !in_string;
    } else if (!in_string && (c == '[' || c == '{') && ++depth > kMaxDepth) {
      return true;
    } else if (!in_string && (c == ']' || c == '}')) {
      --depth;
    }
  }
  return false;
}

absl::StatusOr<Json> ParseJson(const std::string& text) {
  if (IsTooDeep(text)) {
    return absl::InvalidArgumentError(absl::StrCat("nested more deeply than ", kMaxDepth, " levels"));
  }
  try {
    return Json::parse(text);
  } catch (const Json::exception& error) {
    const std::string what = error.what();
    return absl::InvalidArgumentError(what.substr(what.find("] ") == what.npos ? 0 : what.find("] ") + 2));
  }
}

absl::StatusOr<std::vector<LayerSpec>> ParseLayers(const std::string& text, const std::filesystem::path& folder,
                                                   uint64_t seed) {
  SPIKESERVE_ASSIGN_OR_RETURN(Json json, ParseJson(text));
  if (json.is_array()) json = Json{{"layers", std::move(json)}};
  if (!json.is_object() || !json.contains("layers") || !json["layers"].is_array()) {
    return absl::InvalidArgumentError("no list of layers; need {\"layers\": [...]} or [...]");
  }
  for (size_t i = 0; i < json["layers"].size(); ++i) {
    const Json& layer = json["layers"][i];
    if (!layer.is_object()) {
      return absl::InvalidArgumentError(absl::StrCat("layers[", i, "]: got ", layer.type_name(), "; need an object"));
    }
  }
  const std::vector<StandIn> stand_ins = TakeStandIns(json["layers"]);
  v1::CreateNetworkRequest request;
  if (const auto status = google::protobuf::util::JsonStringToMessage(json.dump(), &request); !status.ok()) {
    return absl::InvalidArgumentError(std::string(status.message()));
  }
  SPIKESERVE_RETURN_IF_ERROR(codec::CheckElementsAreThere(request));
  int64_t bytes_left = kMaxBytes;
  for (const StandIn& stand_in : stand_ins) {
    absl::StatusOr<Tensor> array = stand_in.is_shape()
                                       ? ZerosOfShape(stand_in.value, bytes_left)
                                       : npz::ReadArray((folder / stand_in.value.get<std::string>()).string());
    if (array.ok() && array->byte_size() > bytes_left) array = TooLarge();
    if (!array.ok()) return file::AtPath(stand_in.Field(), array.status());
    bytes_left -= array->byte_size();
    Message& kind = MutableField(*request.mutable_layers(stand_in.layer), *stand_in.kind);
    codec::EncodeTensor(*array, &static_cast<v1::Tensor&>(MutableField(kind, *stand_in.tensor)));
  }
  std::vector<LayerSpec> layers;
  for (int i = 0; i < request.layers_size(); ++i) {
    SPIKESERVE_ASSIGN_OR_RETURN(LayerSpec layer,
                                codec::DecodeLayer(request.layers(i), absl::StrCat("layers[", i, "]"), INT64_MAX));
    layers.push_back(std::move(layer));
  }
  for (const StandIn& stand_in : stand_ins) {
    if (!stand_in.is_shape()) continue;
    const absl::Status drawn =
        train::DrawParameter(absl::MakeSpan(layers), stand_in.layer, stand_in.tensor->name(), seed);
    if (!drawn.ok()) return absl::Status(drawn.code(), absl::StrCat(stand_in.Field(), ": ", drawn.message()));
  }
  return layers;
}

absl::StatusOr<std::string> FormatJson(const Message& message, bool pretty) {
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  options.add_whitespace = pretty;
  std::string text;
  if (const auto status = google::protobuf::util::MessageToJsonString(message, &text, options); !status.ok()) {
    return absl::InternalError(std::string(status.message()));
  }
  return text;
}

}  // namespace

absl::StatusOr<std::vector<LayerSpec>> ReadLayers(const std::string& path, uint64_t seed) {
  SPIKESERVE_ASSIGN_OR_RETURN(const std::string text, file::ReadFile(path));
  auto layers = ParseLayers(text, std::filesystem::path(path).parent_path(), seed);
  if (!layers.ok()) return file::AtPath(path, layers.status());
  return layers;
}

absl::Status WriteLayers(const std::string& path, const std::vector<LayerSpec>& layers) {
  v1::CreateNetworkRequest request;
  for (const LayerSpec& layer : layers) codec::EncodeLayer(layer, request.add_layers());
  SPIKESERVE_ASSIGN_OR_RETURN(const std::string text, FormatJson(request, /*pretty=*/true));
  return file::WriteFile(path, text);
}

absl::StatusOr<LayerDescription> DescribeLayer(const LayerSpec& layer) {
  v1::Layer message;
  codec::EncodeLayer(layer, &message);
  const FieldDescriptor* kind_field =
      message.GetReflection()->GetOneofFieldDescriptor(message, v1::Layer::descriptor()->FindOneofByName("kind"));
  Message& kind = MutableField(message, *kind_field);
  LayerDescription description{layer.name, kind_field->name(), {}, {}};
  std::vector<const FieldDescriptor*> fields;
  kind.GetReflection()->ListFields(kind, &fields);
  for (const FieldDescriptor* field : fields) {
    if (!IsTensor(*field)) continue;
    const auto& tensor = static_cast<const v1::Tensor&>(kind.GetReflection()->GetMessage(kind, field));
    SPIKESERVE_ASSIGN_OR_RETURN(Tensor array, codec::DecodeTensor(tensor, field->name(), INT64_MAX));
    description.tensors.emplace_back(field->name(), std::move(array));
    kind.GetReflection()->ClearField(&kind, field);
  }
  SPIKESERVE_ASSIGN_OR_RETURN(const std::string text, FormatJson(kind, /*pretty=*/false));
  SPIKESERVE_ASSIGN_OR_RETURN(description.parameters, ParseJson(text));
  return description;
}

}  // namespace spikeserve::cli

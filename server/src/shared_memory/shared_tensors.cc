#include "shared_memory/shared_tensors.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "codec/tensor_codec.h"
#include "google/protobuf/descriptor.h"
#include "spikeserve/compute/field_error.h"
#include "spikeserve/v1/shared_memory.pb.h"
#include "status_macros.h"

namespace spikeserve::shared_memory {
namespace {

bool IsWithin(const v1::SharedMemory& piece, const Region& region) {
  return piece.offset() <= region.size() && piece.size() <= region.size() - piece.offset();
}

absl::Status ResolveTensor(codec::TensorField& tensor, const std::string& field, const RegionStore& store,
                           int64_t max_bytes) {
  SPIKESERVE_RETURN_IF_ERROR(codec::CheckShared({tensor.header, tensor.data.view()}, field, max_bytes));
  const v1::SharedMemory& shared = tensor.header.shared();
  const std::string handle_field = absl::StrCat(field, ".shared.handle");
  constexpr char kNeeded[] = "the handle of memory that was handed to this server and not dropped";
  if (shared.handle().empty()) return InvalidField(handle_field, "empty", kNeeded);
  std::shared_ptr<const Region> region = store.Find(shared.handle());
  if (region == nullptr) {
    // Who has a handle may read the memory, so it is not repeated.
    return FieldError(absl::StatusCode::kNotFound, handle_field,
                      absl::StrCat("unknown, ", shared.handle().size(), " bytes"), kNeeded);
  }
  if (!IsWithin(shared, *region)) {
    return InvalidField(absl::StrCat(field, ".shared.offset"),
                        absl::StrCat(shared.offset(), ", with ", shared.size(), " bytes from there"),
                        absl::StrCat("a piece of the memory's ", region->size(), " bytes"));
  }
  tensor.data = {region->data() + shared.offset(), static_cast<size_t>(shared.size()), std::move(region)};
  tensor.shared = true;
  tensor.header.clear_shared();
  return absl::OkStatus();
}

}  // namespace

bool NamesSharedMemory(const codec::Envelope& request) {
  return std::any_of(request.tensors.begin(), request.tensors.end(),
                     [](const codec::TensorField& tensor) { return tensor.header.has_shared(); });
}

absl::Status Resolve(codec::Envelope& request, const RegionStore& store, int64_t max_bytes) {
  for (codec::TensorField& tensor : request.tensors) {
    if (!tensor.header.has_shared()) continue;
    const std::string& field = request.message->GetDescriptor()->FindFieldByNumber(tensor.number)->name();
    SPIKESERVE_RETURN_IF_ERROR(ResolveTensor(tensor, field, store, max_bytes));
  }
  return absl::OkStatus();
}

void PlaceResults(absl::string_view offer, const RegionStore& store, codec::Envelope& response) {
  v1::ResultMemory memory;
  if (!memory.ParseFromArray(offer.data(), static_cast<int>(offer.size()))) return;
  struct Piece {
    const v1::SharedMemory* place;
    std::shared_ptr<const Region> region;
  };
  std::vector<Piece> pieces;
  for (const v1::SharedMemory& place : memory.pieces()) {
    std::shared_ptr<const Region> region = store.Find(place.handle());
    if (region == nullptr || region->writable_data() == nullptr || !IsWithin(place, *region)) continue;
    pieces.push_back({&place, std::move(region)});
  }
  std::sort(pieces.begin(), pieces.end(),
            [](const Piece& a, const Piece& b) { return a.place->size() < b.place->size(); });
  std::vector<codec::TensorField*> tensors;
  for (codec::TensorField& tensor : response.tensors) {
    if (tensor.data.size > 0) tensors.push_back(&tensor);
  }
  std::sort(tensors.begin(), tensors.end(), [](const auto* a, const auto* b) { return a->data.size > b->data.size; });

  for (codec::TensorField* tensor : tensors) {
    const size_t size = tensor->data.size;
    const auto piece =
        std::find_if(pieces.begin(), pieces.end(), [&](const Piece& p) { return p.place->size() >= size; });
    if (piece == pieces.end()) continue;
    std::memcpy(piece->region->writable_data() + piece->place->offset(), tensor->data.data, size);
    *tensor->header.mutable_shared() = *piece->place;
    tensor->header.mutable_shared()->set_size(size);
    tensor->data = {};
    pieces.erase(piece);
  }
}

bool IsUnresolved(const absl::Status& status) {
  const std::string field = FieldOf(status);
  return (status.code() == absl::StatusCode::kNotFound && absl::EndsWith(field, ".shared.handle")) ||
         (status.code() == absl::StatusCode::kFailedPrecondition && absl::EndsWith(field, ".shared"));
}

}  // namespace spikeserve::shared_memory

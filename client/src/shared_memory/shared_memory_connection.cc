#include <algorithm>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "codec/tensor_codec.h"
#include "connection.h"
#include "shared_memory/arena.h"
#include "shared_memory/handover_client.h"
#include "shared_memory/handover_socket.h"
#include "shared_memory/resolve.h"
#include "status_macros.h"

namespace spikeserve {
namespace {

// A request whose large tensors are named instead of sent, and what it needs until the call has ended.
struct SharedRequest {
  codec::Envelope envelope;
  // Where tensors lie that the caller gave, and what was copied.
  std::vector<std::shared_ptr<const ArenaRegion>> regions;
  std::vector<std::shared_ptr<uint8_t>> copies;
  // The number of the connection on which the memory was handed over.
  uint64_t connection = 0;
};

class SharedMemoryConnection final : public Connection {
 public:
  SharedMemoryConnection(std::shared_ptr<Connection> inner, std::string path, const ConnectOptions& options)
      : inner_(std::move(inner)),
        min_bytes_(static_cast<size_t>(std::max<int64_t>(options.min_shared_tensor_bytes, 1))),
        max_bytes_(options.max_shared_memory_bytes),
        handover_(std::make_shared<HandoverClient>(std::move(path))),
        arena_(Arena::Create(options.max_shared_memory_bytes, [weak = std::weak_ptr(handover_)](uint64_t region) {
          if (const auto handover = weak.lock()) handover->Drop(region);
        })) {}

  ~SharedMemoryConnection() override { arena_->Close(); }

  void Start(const Rpc& rpc, std::function<void(absl::Status)> done) override { Attempt(rpc, 1, std::move(done)); }

  // Memory that is shared needs no pieces; what can never fit into it is sent as without it.
  int64_t stream_above_bytes() const override { return std::max(inner_->stream_above_bytes(), max_bytes_); }
  void Stream(std::shared_ptr<StreamExchange> exchange, absl::Time deadline,
              std::function<void(absl::Status)> done) override {
    inner_->Stream(std::move(exchange), deadline, std::move(done));
  }

  BufferPool& buffers() override { return inner_->buffers(); }

  std::shared_ptr<uint8_t> NewTensorBuffer(size_t size) override {
    std::shared_ptr<uint8_t> buffer = size < min_bytes_ ? nullptr : arena_->Take(size);
    return buffer != nullptr ? buffer : inner_->NewTensorBuffer(size);
  }

  bool shared_memory_in_use() const override { return handover_->in_use(); }

 private:
  // After the first attempt the server may turn out to be another one, which knows nothing of the memory: it gets it
  // again. Should that happen twice, the elements are sent.
  static constexpr int kMaxSharedAttempts = 2;

  void Attempt(const Rpc& rpc, int attempt, std::function<void(absl::Status)> done) {
    std::shared_ptr<SharedRequest> request = attempt <= kMaxSharedAttempts ? Share(rpc) : nullptr;
    if (request == nullptr) return inner_->Start(rpc, std::move(done));
    Rpc shared_rpc = rpc;
    shared_rpc.request = &request->envelope;
    inner_->Start(shared_rpc, [this, rpc, attempt, request, done = std::move(done)](absl::Status status) mutable {
      if (shared_memory::IsUnresolved(status)) {
        handover_->Disconnect(request->connection);
        request.reset();
        return Attempt(rpc, attempt + 1, std::exchange(done, nullptr));
      }
      if (!status.ok() && rpc.has_side_effects) {
        // The server may not have ended the call yet, nor even begun it. Its input stays as it is.
        for (const auto& copy : request->copies) arena_->GiveUp(copy.get());
      }
      request.reset();  // Before the caller goes on: the memory is kept for the next call.
      std::exchange(done, nullptr)(std::move(status));
    });
  }

  // Null where nothing is to be shared, or cannot be.
  std::shared_ptr<SharedRequest> Share(const Rpc& rpc) {
    const auto& tensors = rpc.request->tensors;
    if (std::none_of(tensors.begin(), tensors.end(), [&](const auto& tensor) { return IsWorthwhile(tensor); })) {
      return nullptr;
    }
    auto request = std::make_shared<SharedRequest>();
    request->envelope = rpc.request->Share();
    bool shared = false;
    for (codec::TensorField& tensor : request->envelope.tensors) {
      if (IsWorthwhile(tensor)) shared |= ShareTensor(rpc, tensor, *request).ok();
    }
    return shared ? request : nullptr;
  }

  bool IsWorthwhile(const codec::TensorField& tensor) const {
    // A tensor that is wrong is sent, so that the server finds fault with what the caller gave.
    return tensor.data.size >= min_bytes_ && codec::IsDense({tensor.header, tensor.data.view()});
  }

  // Leaves the tensor as it is where that fails.
  absl::Status ShareTensor(const Rpc& rpc, codec::TensorField& tensor, SharedRequest& request) {
    std::optional<Arena::Place> place = arena_->Find(tensor.data.data, tensor.data.size);
    std::shared_ptr<uint8_t> copy;
    // The caller is free to write to its tensor when the call has failed, but the server may read it later. That does
    // no harm where the result is thrown away; a network keeps it.
    if (!place || rpc.has_side_effects) {
      copy = arena_->Take(tensor.data.size);
      if (copy == nullptr) return absl::ResourceExhaustedError("no more memory is to be shared");
      place = arena_->Find(copy.get(), tensor.data.size);
    }
    absl::StatusOr<HandoverClient::Handle> handle = handover_->HandleOf(*place->region, rpc.deadline);
    if (absl::IsResourceExhausted(handle.status()) && arena_->Trim()) {
      handle = handover_->HandleOf(*place->region, rpc.deadline);
    }
    if (!handle.ok()) return handle.status();
    if (copy != nullptr) {
      std::memcpy(copy.get(), tensor.data.data, tensor.data.size);
      request.copies.push_back(std::move(copy));
    }
    v1::SharedMemory* shared = tensor.header.mutable_shared();
    shared->set_handle(std::move(handle->name));
    shared->set_offset(place->offset);
    shared->set_size(tensor.data.size);
    tensor.data = {};
    request.regions.push_back(std::move(place->region));
    request.connection = handle->connection;
    return absl::OkStatus();
  }

  const std::shared_ptr<Connection> inner_;
  const size_t min_bytes_;
  const int64_t max_bytes_;
  const std::shared_ptr<HandoverClient> handover_;
  const std::shared_ptr<Arena> arena_;
};

}  // namespace

absl::StatusOr<std::shared_ptr<Connection>> MakeSharedMemoryConnection(std::shared_ptr<Connection> inner,
                                                                       std::string_view target,
                                                                       const ConnectOptions& options) {
  SPIKESERVE_ASSIGN_OR_RETURN(std::string path, shared_memory::HandoverPath(target, "shared_memory"));
  return std::make_shared<SharedMemoryConnection>(std::move(inner), std::move(path), options);
}

}  // namespace spikeserve

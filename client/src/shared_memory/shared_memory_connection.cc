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
#include "shared_memory/result_sizes.h"
#include "shared_memory/shared_tensors.h"
#include "spikeserve/v1/shared_memory.pb.h"
#include "status_macros.h"

namespace spikeserve {
namespace {

// Memory of the arena that the server knows.
struct SharedBuffer {
  std::shared_ptr<uint8_t> bytes;
  v1::SharedMemory name;
};

// A call whose large tensors are named instead of sent, and what it needs until it has ended.
struct SharedCall {
  codec::Envelope request;
  // Where tensors lie that the caller gave; those that were copied; and where results may go.
  std::vector<std::shared_ptr<const ArenaRegion>> operands;
  std::vector<std::shared_ptr<uint8_t>> copies;
  std::vector<SharedBuffer> results;
  std::string result_memory;
  ResultSizes::Kind kind;
  // The number of the connection on which the memory was handed over.
  uint64_t connection = 0;
};

class SharedMemoryConnection final : public Connection {
 public:
  SharedMemoryConnection(std::shared_ptr<Connection> inner, std::string path, const ConnectOptions& options)
      : inner_(std::move(inner)),
        min_bytes_(static_cast<size_t>(std::max<int64_t>(options.min_shared_tensor_bytes, 1))),
        handover_(std::make_shared<HandoverClient>(std::move(path))),
        arena_(Arena::Create(options.max_shared_memory_bytes, [weak = std::weak_ptr(handover_)](uint64_t region) {
          if (const auto handover = weak.lock()) handover->Drop(region);
        })) {}

  ~SharedMemoryConnection() override { arena_->Close(); }

  void Start(const Rpc& rpc, std::function<void(absl::Status)> done) override { Attempt(rpc, 1, std::move(done)); }

  // Pieces are not shared, so not earlier than need be. But a call may be too large for one message, and whether its
  // memory will be taken nobody knows beforehand.
  int64_t stream_above_bytes(int64_t /*divisor*/) const override { return inner_->stream_above_bytes(/*divisor=*/1); }
  void Stream(std::shared_ptr<StreamExchange> exchange, absl::Time deadline,
              std::function<void(absl::Status)> done) override {
    inner_->Stream(std::move(exchange), deadline, std::move(done));
  }

  // Steps are small.
  absl::StatusOr<std::shared_ptr<MessageStream>> OpenStream(const StreamRpc& rpc) override {
    return inner_->OpenStream(rpc);
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
    auto call = std::make_shared<SharedCall>();
    call->kind = ResultSizes::KindOf(rpc.path, *rpc.request);
    Rpc shared_rpc = rpc;
    if (attempt <= kMaxSharedAttempts) {
      if (ShareOperands(rpc, *call)) shared_rpc.request = &call->request;
      OfferResultMemory(rpc, *call);
      shared_rpc.result_memory = call->result_memory;
    }
    inner_->Start(shared_rpc, [this, rpc, attempt, call, done = std::move(done)](absl::Status status) mutable {
      if (attempt <= kMaxSharedAttempts && shared_memory::IsUnresolved(status)) {
        handover_->Disconnect(call->connection);
        call.reset();
        return Attempt(rpc, attempt + 1, std::exchange(done, nullptr));
      }
      if (status.ok()) status = TakeResults(rpc, *call);
      if (!status.ok()) GiveUpBuffers(rpc, *call);
      call.reset();  // Before the caller goes on: what it keeps is free for the next call.
      std::exchange(done, nullptr)(std::move(status));
    });
  }

  // Whether any operand was shared, and so call.request is to be sent.
  bool ShareOperands(const Rpc& rpc, SharedCall& call) {
    const auto& tensors = rpc.request->tensors;
    if (std::none_of(tensors.begin(), tensors.end(), [&](const auto& tensor) { return IsWorthwhile(tensor); })) {
      return false;
    }
    call.request = rpc.request->Share();
    bool shared = false;
    for (codec::TensorField& tensor : call.request.tensors) {
      if (IsWorthwhile(tensor)) shared |= ShareOperand(rpc, tensor, call).ok();
    }
    return shared;
  }

  bool IsWorthwhile(const codec::TensorField& tensor) const {
    // A tensor that is wrong is sent, so that the server finds fault with what the caller gave.
    return tensor.data.size >= min_bytes_ && codec::IsDense({tensor.header, tensor.data.view()});
  }

  // Leaves the tensor as it is where that fails.
  absl::Status ShareOperand(const Rpc& rpc, codec::TensorField& tensor, SharedCall& call) {
    std::optional<Arena::Place> place = arena_->Find(tensor.data.data, tensor.data.size);
    std::shared_ptr<uint8_t> copy;
    // The caller is free to write to its tensor when the call has failed, but the server may read it later. That does
    // no harm where the result is thrown away; a network keeps it.
    if (!place || rpc.has_side_effects) {
      copy = arena_->Take(tensor.data.size);
      if (copy == nullptr) return absl::ResourceExhaustedError("no more memory is to be shared");
      place = arena_->Find(copy.get(), tensor.data.size);
    }
    SPIKESERVE_ASSIGN_OR_RETURN(v1::SharedMemory name, NameOf(*place, tensor.data.size, rpc.deadline, call));
    if (copy != nullptr) {
      std::memcpy(copy.get(), tensor.data.data, tensor.data.size);
      call.copies.push_back(std::move(copy));
    }
    *tensor.header.mutable_shared() = std::move(name);
    tensor.data = {};
    call.operands.push_back(std::move(place->region));
    return absl::OkStatus();
  }

  // Memory for the results that are expected.
  void OfferResultMemory(const Rpc& rpc, SharedCall& call) {
    v1::ResultMemory offer;
    for (const size_t size : result_sizes_.Expected(call.kind)) {
      SharedBuffer result{arena_->Take(size), {}};
      if (result.bytes == nullptr) continue;
      absl::StatusOr<v1::SharedMemory> name = NameOf(*arena_->Find(result.bytes.get(), size), size, rpc.deadline, call);
      if (!name.ok()) continue;
      result.name = *std::move(name);
      *offer.add_pieces() = result.name;
      call.results.push_back(std::move(result));
    }
    call.result_memory = offer.SerializeAsString();
  }

  // What the server is to call the `size` bytes at `place`, which it is given where it does not know them.
  absl::StatusOr<v1::SharedMemory> NameOf(const Arena::Place& place, size_t size, absl::Time deadline,
                                          SharedCall& call) {
    absl::StatusOr<HandoverClient::Handle> handle = handover_->HandleOf(*place.region, deadline);
    if (absl::IsResourceExhausted(handle.status()) && arena_->Trim()) {
      handle = handover_->HandleOf(*place.region, deadline);
    }
    if (!handle.ok()) return handle.status();
    call.connection = handle->connection;
    v1::SharedMemory name;
    name.set_handle(std::move(handle->name));
    name.set_offset(place.offset);
    name.set_size(size);
    return name;
  }

  // Gives the response's tensors the elements that are in the memory that was offered.
  absl::Status TakeResults(const Rpc& rpc, SharedCall& call) {
    std::vector<size_t> sizes;
    for (codec::TensorField& tensor : rpc.response->tensors) {
      if (tensor.header.has_shared()) SPIKESERVE_RETURN_IF_ERROR(TakeResult(tensor, call));
      if (tensor.data.size >= min_bytes_) sizes.push_back(tensor.data.size);
    }
    result_sizes_.Learn(call.kind, std::move(sizes));
    return absl::OkStatus();
  }

  static absl::Status TakeResult(codec::TensorField& tensor, SharedCall& call) {
    const v1::SharedMemory& shared = tensor.header.shared();
    for (SharedBuffer& result : call.results) {
      if (result.bytes == nullptr || result.name.handle() != shared.handle() ||
          result.name.offset() != shared.offset() || shared.size() > result.name.size()) {
        continue;
      }
      const uint8_t* bytes = result.bytes.get();
      tensor.data = {bytes, shared.size(), std::move(result.bytes)};
      tensor.header.clear_shared();
      return absl::OkStatus();
    }
    return absl::InternalError("the server's response: names memory that was not offered for it");
  }

  // The server may not have ended a call that failed, nor even begun it. It may write to what is for results, and what
  // a change is made of stays as it is.
  void GiveUpBuffers(const Rpc& rpc, const SharedCall& call) {
    for (const SharedBuffer& result : call.results) {
      if (result.bytes != nullptr) arena_->GiveUp(result.bytes.get());
    }
    if (!rpc.has_side_effects) return;
    for (const auto& copy : call.copies) arena_->GiveUp(copy.get());
  }

  const std::shared_ptr<Connection> inner_;
  const size_t min_bytes_;
  const std::shared_ptr<HandoverClient> handover_;
  const std::shared_ptr<Arena> arena_;
  ResultSizes result_sizes_;  // Of large tensors.
};

}  // namespace

absl::StatusOr<std::shared_ptr<Connection>> MakeSharedMemoryConnection(std::shared_ptr<Connection> inner,
                                                                       std::string_view target,
                                                                       const ConnectOptions& options) {
  SPIKESERVE_ASSIGN_OR_RETURN(std::string path, shared_memory::HandoverPath(target, "shared_memory"));
  return std::make_shared<SharedMemoryConnection>(std::move(inner), std::move(path), options);
}

}  // namespace spikeserve

// Memory that the calls of an input share with the server, for operands and for results.

#ifndef SPIKESERVE_TESTS_FUZZ_FUZZ_MEMORY_H_
#define SPIKESERVE_TESTS_FUZZ_FUZZ_MEMORY_H_

#include <cstdint>
#include <cstring>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "codec/envelope.h"
#include "fuzz/fuzzing.h"
#include "shared_memory/region_store.h"
#include "shared_memory/shared_tensors.h"
#include "spikeserve/v1/shared_memory.pb.h"
#include "support/shared_memory.h"

namespace spikeserve::testing {

// One piece of memory. Inputs call it kSharedMemory: no fuzzer guesses a handle.
class FuzzMemory {
 public:
  // A page: what reads or writes beyond it is caught.
  static constexpr int64_t kBytes = 4096;

  FuzzMemory() : session_(store_, /*uid=*/0), memory_(MakeMemory(kBytes)) {
    auto handle = session_.Add(memory_);
    SPIKESERVE_REQUIRE(handle.ok());
    handle_ = *std::move(handle);
    region_ = store_.Find(handle_);
    SPIKESERVE_REQUIRE(region_->writable_data() != nullptr);
  }

  // Undoes what results were put there: each input finds the same. The first half are bytes of 0 and 1, the second half
  // are floats.
  void Fill() {
    uint8_t* const bytes = region_->writable_data();
    for (int64_t i = 0; i < kBytes / 2; ++i) bytes[i] = i % 3 == 0 ? 1 : 0;
    for (int64_t i = kBytes / 2; i < kBytes; i += sizeof(float)) {
      const float value = 0.5f * static_cast<float>(i / int64_t{sizeof(float)} % 5 - 1);
      std::memcpy(bytes + i, &value, sizeof value);
    }
  }

  // Gives the request's tensors in shared memory their elements.
  absl::Status Resolve(codec::Envelope& request, int64_t max_bytes) const {
    for (codec::TensorField& tensor : request.tensors) {
      if (tensor.header.has_shared()) UseHandle(*tensor.header.mutable_shared());
    }
    return shared_memory::Resolve(request, store_, max_bytes);
  }

  // Puts tensors of the response where `offer`, which may be no v1::ResultMemory, wants them.
  void Place(absl::string_view offer, codec::Envelope& response) const {
    std::string bytes(offer.data(), offer.size());
    v1::ResultMemory memory;
    if (memory.ParseFromString(bytes)) {
      for (v1::SharedMemory& piece : *memory.mutable_pieces()) UseHandle(piece);
      bytes = memory.SerializeAsString();
    }
    shared_memory::PlaceResults(bytes, store_, response);
    for (const codec::TensorField& tensor : response.tensors) {
      if (!tensor.header.has_shared()) continue;
      const v1::SharedMemory& piece = tensor.header.shared();
      SPIKESERVE_REQUIRE(tensor.data.size == 0);
      SPIKESERVE_REQUIRE(piece.offset() <= uint64_t{kBytes} && piece.size() <= uint64_t{kBytes} - piece.offset());
    }
  }

 private:
  void UseHandle(v1::SharedMemory& piece) const {
    if (piece.handle() == kSharedMemory) piece.set_handle(handle_);
  }

  shared_memory::RegionStore store_{{}};
  shared_memory::RegionStore::Session session_;
  const shared_memory::FileDescriptor memory_;
  std::string handle_;
  std::shared_ptr<const shared_memory::Region> region_;
};

}  // namespace spikeserve::testing

#endif  // SPIKESERVE_TESTS_FUZZ_FUZZ_MEMORY_H_

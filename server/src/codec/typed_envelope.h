// Envelopes whose message's type is known.

#ifndef SPIKESERVE_SERVER_CODEC_TYPED_ENVELOPE_H_
#define SPIKESERVE_SERVER_CODEC_TYPED_ENVELOPE_H_

#include <memory>
#include <utility>

#include "codec/envelope.h"
#include "codec/tensor_codec.h"

namespace spikeserve::codec {

// A message that came. Its tensors are asked for by their fields' numbers (v1::...::kVFieldNumber); the accessors of
// the message know nothing of them. A view: the envelope, which must hold a Message, has to outlive it.
template <typename Message>
class Incoming {
 public:
  explicit Incoming(const Envelope& envelope) : envelope_(envelope) {}

  const Message& operator*() const { return static_cast<const Message&>(*envelope_.message); }
  const Message* operator->() const { return &**this; }

  bool has_tensor(int number) const { return envelope_.Find(number) != nullptr; }
  // Where it is absent: the default instance, which the codec refuses as absent.
  WireTensor tensor(int number) const {
    const TensorField* field = envelope_.Find(number);
    if (field == nullptr) return v1::Tensor::default_instance();
    return {field->header, field->data.view()};
  }

 private:
  const Envelope& envelope_;
};

// A message to be sent.
template <typename Message>
class Outgoing {
 public:
  // Elements of tensors are put into buffers of `pool`, which must outlive the object.
  explicit Outgoing(BufferPool& pool) : pool_(&pool), envelope_{std::make_unique<Message>(), {}} {}

  Message& operator*() { return static_cast<Message&>(*envelope_.message); }
  Message* operator->() { return &**this; }

  // Adds the tensor of the field `number`, which there is none of yet; valid until the next one is added.
  TensorTarget tensor(int number) { return {&envelope_.Add(number), pool_}; }

  // The same for one whose elements stay where they are until `owner` goes.
  void AddReference(int number, const TensorView& view, std::shared_ptr<const void> owner) {
    TensorField& field = envelope_.Add(number);
    EncodeHeader(view.dtype(), view.shape(), &field.header);
    field.data = {static_cast<const uint8_t*>(view.data()), static_cast<size_t>(view.byte_size()), std::move(owner)};
  }

  Envelope Release() && { return std::move(envelope_); }

 private:
  BufferPool* pool_;
  Envelope envelope_;
};

}  // namespace spikeserve::codec

#endif  // SPIKESERVE_SERVER_CODEC_TYPED_ENVELOPE_H_

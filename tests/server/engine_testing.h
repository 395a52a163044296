// Calls on an engine.

#ifndef SPIKESERVE_TESTS_SERVER_ENGINE_TESTING_H_
#define SPIKESERVE_TESTS_SERVER_ENGINE_TESTING_H_

#include <functional>
#include <future>
#include <string>
#include <utility>

#include "runtime/engine.h"
#include "spikeserve/v1/functions.pb.h"
#include "support/calls.h"
#include "support/envelopes.h"

namespace spikeserve::server {

inline constexpr char kPath[] = "/spikeserve.v1.SpikeFunctionService/KernelDotProduct";

inline codec::Envelope Enveloped(const Message& request) {
  BufferPool buffers(0);
  return *testing::ToEnvelope(request, buffers);
}

// A linear kernel of n samples with one feature each.
inline codec::Envelope Request(int n) {
  v1::KernelDotProductRequest request;
  request.mutable_x()->set_dtype(v1::DATA_TYPE_BOOL);
  request.mutable_x()->add_shape(n);
  request.mutable_x()->add_shape(1);
  request.mutable_x()->set_data(std::string(n, '\1'));
  request.mutable_kernel()->mutable_linear();
  return Enveloped(request);
}

inline Call MakeCall(const codec::Envelope& request, std::function<void(EnvelopeOr)> done) {
  Call call;
  call.path = kPath;
  call.request = [&request](const Message&, BufferPool&) { return &request; };
  testing::OnFinish(call, std::move(done));
  return call;
}

inline EnvelopeOr Perform(Engine& engine, Call call) {
  std::promise<EnvelopeOr> promise;
  testing::OnFinish(call, [&](EnvelopeOr result) { promise.set_value(std::move(result)); });
  engine.Submit(std::move(call));
  return promise.get_future().get();
}

}  // namespace spikeserve::server

#endif  // SPIKESERVE_TESTS_SERVER_ENGINE_TESTING_H_

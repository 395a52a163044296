// A message stream to an engine in this process.

#ifndef SPIKESERVE_CLIENT_IN_PROCESS_MESSAGE_STREAM_H_
#define SPIKESERVE_CLIENT_IN_PROCESS_MESSAGE_STREAM_H_

#include <memory>

#include "absl/status/statusor.h"
#include "message_stream.h"
#include "runtime/engine.h"

namespace spikeserve {

// `engine` must live until the stream has ended. Errors: those of Engine::OpenStream.
absl::StatusOr<std::shared_ptr<MessageStream>> MakeInProcessMessageStream(server::Engine& engine, const StreamRpc& rpc);

}  // namespace spikeserve

#endif  // SPIKESERVE_CLIENT_IN_PROCESS_MESSAGE_STREAM_H_

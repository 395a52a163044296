// A peer that speaks as much HTTP/2 as a test wants it to, over a bare socket.

#ifndef SPIKESERVE_TESTS_SUPPORT_RAW_HTTP2_H_
#define SPIKESERVE_TESTS_SUPPORT_RAW_HTTP2_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace spikeserve::testing {

// A connection to "127.0.0.1:PORT" or "unix:PATH".
class RawConnection {
 public:
  explicit RawConnection(const std::string& address);
  // Closes it.
  ~RawConnection();
  RawConnection(const RawConnection&) = delete;
  RawConnection& operator=(const RawConnection&) = delete;

  // Whether all was sent; a peer that has closed the connection takes nothing.
  bool Send(std::string_view bytes);
  // Some bytes; empty where the peer has closed the connection.
  std::string Receive();

  // Closes it without a word: the peer gets a reset, and no end of what was sent.
  void Reset();

 private:
  int socket_ = -1;
};

struct Frame {
  uint8_t type;
  uint8_t flags;
  uint32_t stream;
  std::string payload;
};
inline constexpr uint8_t kDataFrame = 0, kHeadersFrame = 1, kResetFrame = 3, kSettingsFrame = 4, kPingFrame = 6,
                         kGoAwayFrame = 7, kWindowUpdateFrame = 8;
inline constexpr uint8_t kEndStream = 1, kEndHeaders = 4;

// A method whose request may be empty, and which changes nothing.
inline constexpr char kServerStatistics[] = "/spikeserve.v1.SpikeServerService/ServerStatistics";

std::string Serialized(const Frame& frame);

// What a client says first: the preface, and settings.
std::string Greeting();
// The frames of a call: a request of the message on a stream of its own (1, 3, 5, ...).
std::string CallFrames(std::string_view path, std::string_view message, uint32_t stream);

// The frame that lets the server send so many bytes more, 1 at least, on a stream, or on the connection (0).
std::string WindowUpdate(uint32_t stream, size_t bytes);

// The beginning of a call whose request is a message of so many bytes, which DataFrames send.
std::string CallBegin(std::string_view path, uint32_t message_size, uint32_t stream);

// Reads frames off a connection.
class FrameReader {
 public:
  explicit FrameReader(RawConnection& connection) : connection_(connection) {}
  // nullopt where the connection has ended.
  std::optional<Frame> Next();
  // Reads until a stream has ended; whether it came to that.
  bool WaitForEnd(uint32_t stream);
  // Sends up to `size` zeros on the connection's only stream, 1, as the server lets it; whether it took all.
  bool SendZeros(size_t size);

 private:
  bool Fill(size_t size);

  RawConnection& connection_;
  std::string buffer_;
};

}  // namespace spikeserve::testing

#endif  // SPIKESERVE_TESTS_SUPPORT_RAW_HTTP2_H_

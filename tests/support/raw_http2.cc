#include "support/raw_http2.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "gtest/gtest.h"

namespace spikeserve::testing {
namespace {

// A header field that the peer is not to remember (RFC 7541, 6.2.2), of less than 127 bytes each.
std::string Field(std::string_view name, std::string_view value) {
  std::string field(1, '\0');
  for (const std::string_view part : {name, value}) {
    field += static_cast<char>(part.size());
    field += part;
  }
  return field;
}

std::string BigEndian(uint32_t value, int bytes) {
  std::string text;
  for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8) text += static_cast<char>(value >> shift);
  return text;
}

uint32_t FromBigEndian(std::string_view bytes) {
  uint32_t value = 0;
  for (const char byte : bytes) value = value << 8 | static_cast<uint8_t>(byte);
  return value;
}

std::string HeadersFrame(std::string_view path, uint32_t stream) {
  return Serialized({kHeadersFrame, kEndHeaders, stream,
                     Field(":method", "POST") + Field(":scheme", "http") + Field(":path", path) +
                         Field(":authority", "localhost") + Field("content-type", "application/grpc") +
                         Field("te", "trailers")});
}

// What gRPC puts before a message: whether it is compressed, and its size.
std::string MessageHeader(uint32_t size) { return absl::StrCat(std::string(1, '\0'), BigEndian(size, 4)); }

}  // namespace

RawConnection::RawConnection(const std::string& address) {
  absl::string_view path = address;
  if (absl::ConsumePrefix(&path, "unix:")) {
    socket_ = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un to = {};
    to.sun_family = AF_UNIX;
    path.copy(to.sun_path, sizeof(to.sun_path) - 1);
    EXPECT_EQ(connect(socket_, reinterpret_cast<sockaddr*>(&to), sizeof(to)), 0) << address;
    return;
  }
  socket_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  int port = 0;
  EXPECT_TRUE(absl::SimpleAtoi(address.substr(address.rfind(':') + 1), &port)) << address;
  sockaddr_in to = {};
  to.sin_family = AF_INET;
  to.sin_port = htons(static_cast<uint16_t>(port));
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(connect(socket_, reinterpret_cast<sockaddr*>(&to), sizeof(to)), 0) << address;
}

RawConnection::~RawConnection() { close(socket_); }

bool RawConnection::Send(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return false;
    bytes.remove_prefix(sent);
  }
  return true;
}

std::string RawConnection::Receive() {
  char buffer[4096];
  const ssize_t received = recv(socket_, buffer, sizeof(buffer), 0);
  return received > 0 ? std::string(buffer, received) : std::string();
}

void RawConnection::Reset() {
  const linger at_once = {.l_onoff = 1, .l_linger = 0};
  setsockopt(socket_, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
  close(socket_);
  socket_ = -1;
}

std::string Serialized(const Frame& frame) {
  return absl::StrCat(BigEndian(static_cast<uint32_t>(frame.payload.size()), 3), BigEndian(frame.type, 1),
                      BigEndian(frame.flags, 1), BigEndian(frame.stream, 4), frame.payload);
}

std::string Greeting() {
  return absl::StrCat("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Serialized({kSettingsFrame, 0, 0, ""}));
}

std::string CallFrames(std::string_view path, std::string_view message, uint32_t stream) {
  const std::string data = absl::StrCat(MessageHeader(static_cast<uint32_t>(message.size())), std::string(message));
  return HeadersFrame(path, stream) + Serialized({kDataFrame, kEndStream, stream, data});
}

std::string CallBegin(std::string_view path, uint32_t message_size, uint32_t stream) {
  return HeadersFrame(path, stream) + Serialized({kDataFrame, 0, stream, MessageHeader(message_size)});
}

std::string WindowUpdate(uint32_t stream, size_t bytes) {
  return Serialized({kWindowUpdateFrame, 0, stream, BigEndian(static_cast<uint32_t>(bytes), 4)});
}

bool FrameReader::Fill(size_t size) {
  while (buffer_.size() < size) {
    const std::string more = connection_.Receive();
    if (more.empty()) return false;
    buffer_ += more;
  }
  return true;
}

std::optional<Frame> FrameReader::Next() {
  constexpr size_t kHeader = 9;
  if (!Fill(kHeader)) return std::nullopt;
  const auto byte = [this](size_t i) { return static_cast<uint32_t>(static_cast<uint8_t>(buffer_[i])); };
  const size_t size = byte(0) << 16 | byte(1) << 8 | byte(2);
  Frame frame{static_cast<uint8_t>(byte(3)), static_cast<uint8_t>(byte(4)),
              (byte(5) << 24 | byte(6) << 16 | byte(7) << 8 | byte(8)) & 0x7fffffff, ""};
  if (!Fill(kHeader + size)) return std::nullopt;
  frame.payload = buffer_.substr(kHeader, size);
  buffer_.erase(0, kHeader + size);
  return frame;
}

bool FrameReader::WaitForEnd(uint32_t stream) {
  while (const std::optional<Frame> frame = Next()) {
    const bool ends = frame->type == kHeadersFrame || frame->type == kDataFrame;
    if (frame->stream == stream && ends && (frame->flags & kEndStream) != 0) return true;
  }
  return false;
}

bool FrameReader::SendZeros(size_t size) {
  // What the server lets a client send, on the connection and on a stream (RFC 9113, 5.2.1).
  constexpr int64_t kInitialWindow = 65'535 - 5;  // The message's header is sent.
  constexpr size_t kFrame = 16'384;
  int64_t connection_window = kInitialWindow, stream_window = kInitialWindow;
  int64_t first_window = 65'535;
  while (size > 0) {
    const int64_t window = std::min({connection_window, stream_window, static_cast<int64_t>(std::min(kFrame, size))});
    if (window > 0) {
      if (!connection_.Send(Serialized({kDataFrame, 0, 1, std::string(static_cast<size_t>(window), '\0')})))
        return false;
      connection_window -= window;
      stream_window -= window;
      size -= static_cast<size_t>(window);
      continue;
    }
    const std::optional<Frame> frame = Next();
    if (!frame || frame->type == kResetFrame || frame->type == kGoAwayFrame || frame->type == kHeadersFrame)
      return false;
    const std::string_view payload = frame->payload;
    if (frame->type == kWindowUpdateFrame) {
      (frame->stream == 0 ? connection_window : stream_window) += FromBigEndian(payload);
    } else if (frame->type == kPingFrame && frame->flags == 0) {
      connection_.Send(Serialized({kPingFrame, /*ACK*/ 1, 0, frame->payload}));
    } else if (frame->type == kSettingsFrame && frame->flags == 0) {
      constexpr uint32_t kInitialWindowSize = 4;
      for (size_t i = 0; i + 6 <= payload.size(); i += 6) {
        if (FromBigEndian(payload.substr(i, 2)) != kInitialWindowSize) continue;
        const int64_t next = FromBigEndian(payload.substr(i + 2, 4));
        stream_window += next - std::exchange(first_window, next);
      }
      connection_.Send(Serialized({kSettingsFrame, /*ACK*/ 1, 0, ""}));
    }
  }
  return true;
}

}  // namespace spikeserve::testing

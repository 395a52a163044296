#include "shared_memory/handover_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "shared_memory/handover_socket.h"
#include "spikeserve/v1/shared_memory.pb.h"
#include "support/shared_memory.h"
#include "support/test_folder.h"

namespace spikeserve::shared_memory {
namespace {

using ::testing::HasSubstr;
using testing::MakeMemory;

// Waits until `holds`, which it will within a moment.
void Await(const std::function<bool()>& holds) {
  while (!holds()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
}

// A client that sends what it likes.
class Peer {
 public:
  explicit Peer(const std::string& path) {
    absl::StatusOr<FileDescriptor> socket = ConnectTo(path);
    if (socket.ok()) socket_ = *std::move(socket);
  }

  int socket() const { return socket_.get(); }
  void Close() { socket_ = FileDescriptor(); }

  // One packet, with any number of descriptors.
  bool Send(const std::string& bytes, const std::vector<int>& attachments = {}) {
    iovec part = {const_cast<char*>(bytes.data()), bytes.size()};
    msghdr packet = {};
    packet.msg_iov = &part;
    packet.msg_iovlen = 1;
    alignas(cmsghdr) char control[CMSG_SPACE(253 * sizeof(int))] = {};
    if (!attachments.empty()) {
      packet.msg_control = control;
      packet.msg_controllen = CMSG_SPACE(attachments.size() * sizeof(int));
      cmsghdr* header = CMSG_FIRSTHDR(&packet);
      header->cmsg_level = SOL_SOCKET;
      header->cmsg_type = SCM_RIGHTS;
      header->cmsg_len = CMSG_LEN(attachments.size() * sizeof(int));
      std::memcpy(CMSG_DATA(header), attachments.data(), attachments.size() * sizeof(int));
    }
    return sendmsg(socket_.get(), &packet, MSG_NOSIGNAL) >= 0;
  }

  // The next answer; nullopt: the connection is closed.
  std::optional<v1::SharedMemoryResponse> Receive() {
    pollfd waited = {socket_.get(), POLLIN, 0};
    poll(&waited, 1, -1);
    const absl::StatusOr<Packet> packet = ReceivePacket(socket_.get());
    v1::SharedMemoryResponse response;
    if (!packet.ok() || !response.ParseFromString(packet->bytes)) return std::nullopt;
    return response;
  }

  std::optional<v1::SharedMemoryResponse> Ask(const std::string& bytes, const std::vector<int>& attachments = {}) {
    if (!Send(bytes, attachments)) return std::nullopt;
    return Receive();
  }

  // Hands memory over; empty where it is refused.
  std::string Share(const FileDescriptor& memory) {
    const auto response = Ask(ShareRequest(), {memory.get()});
    return response && response->code() == 0 ? response->handle() : "";
  }

  static std::string ShareRequest() {
    v1::SharedMemoryRequest request;
    request.mutable_share();
    return request.SerializeAsString();
  }
  static std::string DropRequest(const std::string& handle) {
    v1::SharedMemoryRequest request;
    request.mutable_drop()->set_handle(handle);
    return request.SerializeAsString();
  }

 private:
  FileDescriptor socket_;
};

class HandoverServerTest : public ::testing::Test {
 protected:
  void StartServer(const ConnectionLimits& limits = {}) {
    absl::StatusOr<std::unique_ptr<HandoverServer>> server = HandoverServer::Start({path_}, store_, limits);
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
  }
  RegionStore::Usage usage() const { return store_->UsageOf(getuid()); }

  const testing::TestFolder folder_;
  const std::string path_ = folder_.Path("socket");
  std::shared_ptr<RegionStore> store_ = std::make_shared<RegionStore>(Quota());
  std::unique_ptr<HandoverServer> server_;
};

TEST_F(HandoverServerTest, MemoryIsTakenAndDropped) {
  StartServer();
  Peer peer(path_);
  const FileDescriptor memory = MakeMemory(100);
  const std::string handle = peer.Share(memory);
  ASSERT_EQ(handle.size(), 16u);
  EXPECT_EQ(store_->Find(handle)->size(), 100u);
  const std::string again = peer.Share(memory);
  EXPECT_NE(again, handle);
  EXPECT_EQ(usage().bytes, 200);
  ASSERT_TRUE(peer.Send(Peer::DropRequest(handle)));
  EXPECT_FALSE(peer.Share(memory).empty());  // Answered after the drop.
  EXPECT_EQ(store_->Find(handle), nullptr);
  EXPECT_EQ(usage().bytes, 200);
}

TEST_F(HandoverServerTest, MemoryGoesWithItsConnection) {
  StartServer();
  Peer one(path_), other(path_);
  const std::string handle = one.Share(MakeMemory(1));
  const std::string others = other.Share(MakeMemory(1));
  ASSERT_TRUE(other.Send(Peer::DropRequest(handle)));  // Not its own.
  EXPECT_FALSE(other.Share(MakeMemory(1)).empty());
  EXPECT_NE(store_->Find(handle), nullptr);
  one.Close();
  Await([&] { return store_->Find(handle) == nullptr; });
  EXPECT_NE(store_->Find(others), nullptr);
}

TEST_F(HandoverServerTest, RefusalsTellWhatCameAndWhatIsNeeded) {
  StartServer();
  Peer peer(path_);
  const FileDescriptor good = MakeMemory(1);
  const FileDescriptor unsealed = MakeMemory(1, 0);
  struct Case {
    std::string bytes;
    std::vector<int> attachments;
    std::string says;
  };
  const std::vector<Case> cases = {
      {"\xff\xff\xff garbage", {}, "packet: 11 bytes that are no request; need a spikeserve.v1.SharedMemoryRequest"},
      {"garbage", {good.get()}, "packet: 7 bytes that are no request"},
      {std::string("\x18\x01", 2),
       {good.get()},
       "no request; need a spikeserve.v1.SharedMemoryRequest with share or drop"},
      {std::string(4096, 'x'), {}, "packet: 4096 bytes that are no request"},
      {std::string(4097, 'x'), {}, "packet: too long"},
      {std::string(100000, 'x'), {good.get()}, "packet: too long"},
      {Peer::ShareRequest(), {}, "share: 0 descriptors; need one with the packet"},
      {Peer::ShareRequest(), {good.get(), good.get()}, "share: 2 descriptors"},
      {Peer::ShareRequest(), std::vector<int>(253, good.get()), "share: 253 descriptors"},
      {Peer::ShareRequest(), {unsealed.get()}, "share: memory without F_SEAL_SHRINK and F_SEAL_GROW"},
      {Peer::ShareRequest(), {peer.socket()}, "share: a descriptor of no memfd"},
      {Peer::ShareRequest(), {STDERR_FILENO}, "share: a descriptor of no memfd"},
  };
  ASSERT_FALSE(peer.Share(good).empty());
  const int descriptors = testing::OpenDescriptors();
  const int mappings = testing::MemoryMappings();
  for (const Case& c : cases) {
    const auto response = peer.Ask(c.bytes, c.attachments);
    ASSERT_TRUE(response.has_value()) << c.says;
    EXPECT_EQ(response->code(), static_cast<int>(absl::StatusCode::kInvalidArgument)) << c.says;
    EXPECT_THAT(response->message(), HasSubstr(c.says));
    EXPECT_EQ(response->handle(), "");
  }
  // Nothing stayed open, and the connection still works.
  EXPECT_FALSE(peer.Share(good).empty());
  EXPECT_EQ(testing::OpenDescriptors(), descriptors);
  EXPECT_EQ(testing::MemoryMappings(), mappings + 1);
}

TEST_F(HandoverServerTest, DescriptorsThatComeWithADropAreClosed) {
  StartServer();
  Peer peer(path_);
  const FileDescriptor memory = MakeMemory(1);
  const std::string handle = peer.Share(memory);
  const int descriptors = testing::OpenDescriptors();
  ASSERT_TRUE(peer.Send(Peer::DropRequest(handle), std::vector<int>(100, memory.get())));
  ASSERT_FALSE(peer.Share(memory).empty());
  EXPECT_EQ(testing::OpenDescriptors(), descriptors);
  EXPECT_EQ(store_->Find(handle), nullptr);
}

TEST_F(HandoverServerTest, AQuotaIsOneUsersOverAllConnections) {
  store_ = std::make_shared<RegionStore>(Quota{.max_bytes = 100, .max_regions = 10});
  StartServer();
  Peer one(path_), other(path_);
  EXPECT_FALSE(one.Share(MakeMemory(60)).empty());
  const FileDescriptor memory = MakeMemory(60);
  const auto response = other.Ask(Peer::ShareRequest(), {memory.get()});
  ASSERT_TRUE(response.has_value());
  EXPECT_EQ(response->code(), static_cast<int>(absl::StatusCode::kResourceExhausted));
  EXPECT_THAT(response->message(), HasSubstr("--max-shared-memory-bytes"));
  one.Close();
  Await([&] { return usage().bytes == 0; });
  EXPECT_FALSE(other.Share(memory).empty());
}

TEST_F(HandoverServerTest, ASilentPeerHoldsUpNobody) {
  StartServer();
  Peer silent(path_);
  std::vector<std::unique_ptr<Peer>> peers;
  for (int i = 0; i < 5; ++i) {
    peers.push_back(std::make_unique<Peer>(path_));
    EXPECT_FALSE(peers.back()->Share(MakeMemory(1)).empty());
  }
}

TEST_F(HandoverServerTest, APeerThatDoesNotReadItsAnswersIsLeft) {
  StartServer();
  Peer deaf(path_), other(path_);
  const FileDescriptor memory = MakeMemory(1);
  // The answers pile up until there is no room for more; then the server closes, and sending fails.
  while (deaf.Send("garbage", {memory.get()})) {
  }
  Await([&] { return usage().regions == 0; });
  EXPECT_FALSE(other.Share(memory).empty());
}

TEST_F(HandoverServerTest, APeerWhoseDescriptorBlocksWhenClosedHoldsUpNobody) {
  StartServer();
  // A TCP connection that lingers: its last close waits until the other end has read everything, which it does not.
  const FileDescriptor listener(socket(AF_INET, SOCK_STREAM, 0));
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  ASSERT_EQ(bind(listener.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
  ASSERT_EQ(listen(listener.get(), 1), 0);
  ASSERT_EQ(getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
  FileDescriptor lingering(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
  connect(lingering.get(), reinterpret_cast<sockaddr*>(&address), size);
  FileDescriptor other_end(accept(listener.get(), nullptr, nullptr));
  const linger wait = {1, 60};
  ASSERT_EQ(setsockopt(lingering.get(), SOL_SOCKET, SO_LINGER, &wait, sizeof(wait)), 0);
  const std::string bytes(1 << 16, 'x');
  while (send(lingering.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) > 0) {
  }

  Peer slow(path_), other(path_);
  ASSERT_TRUE(slow.Send(Peer::ShareRequest(), {lingering.get()}));
  lingering = FileDescriptor();
  EXPECT_FALSE(other.Share(MakeMemory(1)).empty());
  // The server can end, too.
  server_.reset();
  other_end = FileDescriptor();  // Which ends the wait.
}

TEST_F(HandoverServerTest, ConnectionsAreLimited) {
  StartServer({.total = 100, .per_user = 2});
  Peer first(path_), second(path_);
  ASSERT_FALSE(first.Share(MakeMemory(1)).empty());
  ASSERT_FALSE(second.Share(MakeMemory(1)).empty());
  Peer third(path_);
  const auto refusal = third.Receive();
  ASSERT_TRUE(refusal.has_value());
  EXPECT_EQ(refusal->code(), static_cast<int>(absl::StatusCode::kResourceExhausted));
  EXPECT_THAT(refusal->message(), HasSubstr("connection: 2 are open of one user; need fewer"));
  EXPECT_FALSE(third.Receive().has_value());
  first.Close();
  Await([&] { return !Peer(path_).Share(MakeMemory(1)).empty(); });
}

TEST_F(HandoverServerTest, ConnectionsOfAllUsersAreLimited) {
  StartServer({.total = 1, .per_user = 100});
  Peer first(path_);
  ASSERT_FALSE(first.Share(MakeMemory(1)).empty());
  EXPECT_THAT(Peer(path_).Receive()->message(), HasSubstr("connection: 1 are open; need fewer"));
}

TEST_F(HandoverServerTest, AClientThatDiesLeavesNothingBehind) {
  StartServer();
  Await([&] { return !Peer(path_).Share(MakeMemory(1)).empty(); });
  Await([&] { return usage().regions == 0; });
  const int descriptors = testing::OpenDescriptors();
  const int mappings = testing::MemoryMappings();
  for (int round = 0; round < 5; ++round) {
    const pid_t child = fork();
    if (child == 0) {
      // It has memory shared, a packet under way, and dies.
      Peer peer(path_);
      for (int i = 0; i < 10; ++i) peer.Share(MakeMemory(100000));
      peer.Send(Peer::ShareRequest(), {MakeMemory(100000).get(), STDERR_FILENO});
      peer.Send("garbage", {STDERR_FILENO});
      kill(getpid(), SIGKILL);
    }
    int status;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status));
  }
  Await([&] { return usage().regions == 0 && testing::OpenDescriptors() == descriptors; });
  EXPECT_EQ(testing::MemoryMappings(), mappings);
}

TEST_F(HandoverServerTest, TheEndClosesConnectionsAndRemovesTheSocket) {
  const int descriptors = testing::OpenDescriptors();
  StartServer();
  EXPECT_TRUE(std::filesystem::is_socket(path_));
  Peer peer(path_);
  const std::string handle = peer.Share(MakeMemory(1));
  server_.reset();
  EXPECT_FALSE(std::filesystem::exists(path_));
  EXPECT_EQ(store_->Find(handle), nullptr);
  EXPECT_FALSE(peer.Receive().has_value());
  peer.Close();
  EXPECT_EQ(testing::OpenDescriptors(), descriptors);
}

TEST_F(HandoverServerTest, AfterListeningStopsConnectionsGoOn) {
  StartServer();
  Peer peer(path_);
  const std::string handle = peer.Share(MakeMemory(1));
  server_->StopListening();
  EXPECT_FALSE(std::filesystem::exists(path_));
  EXPECT_FALSE(ConnectTo(path_).ok());
  EXPECT_NE(store_->Find(handle), nullptr);
  EXPECT_FALSE(peer.Share(MakeMemory(1)).empty());
}

TEST_F(HandoverServerTest, ASocketThatWasLeftBehindIsReplaced) {
  { const absl::StatusOr<FileDescriptor> abandoned = ListenAt(path_); }
  ASSERT_TRUE(std::filesystem::is_socket(path_));
  StartServer();
  EXPECT_FALSE(Peer(path_).Share(MakeMemory(1)).empty());
}

TEST_F(HandoverServerTest, ASocketThatAnotherServerHasMadeMeanwhileStays) {
  StartServer();
  std::filesystem::rename(path_, path_ + "-old");
  const absl::StatusOr<FileDescriptor> other = ListenAt(path_);
  ASSERT_TRUE(other.ok());
  server_.reset();
  EXPECT_TRUE(std::filesystem::is_socket(path_));
}

TEST_F(HandoverServerTest, AFileThatIsNoSocketIsNotTouched) {
  std::ofstream(path_) << "precious";
  const auto server = HandoverServer::Start({path_}, store_);
  EXPECT_EQ(server.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(server.status().message()), HasSubstr(path_));
  EXPECT_EQ(std::filesystem::file_size(path_), 8u);
}

TEST(HandoverPath, IsThatOfTheAddressWithASuffix) {
  EXPECT_EQ(*HandoverPath("unix:/run/s", "--listen"), "/run/s.shm");
  EXPECT_EQ(*HandoverPath("unix:///run/s", "--listen"), "/run/s.shm");
  EXPECT_EQ(*HandoverPath("unix:here/s", "--listen"), "here/s.shm");
  EXPECT_EQ(HandoverPath(absl::StrCat("unix:", std::string(103, 'p')), "--listen")->size(), 107u);
}

TEST(HandoverPath, RefusesWhatIsNoPathOfASocket) {
  for (const std::string& address :
       {std::string("127.0.0.1:50051"), std::string("unix:"), std::string(), std::string("dns:///unix:/s"),
        std::string("unix:/run/%20"), std::string("unix:/run/s?x"), absl::StrCat("unix:", std::string(104, 'p'))}) {
    const absl::Status status = HandoverPath(address, "--listen").status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << address;
    EXPECT_THAT(std::string(status.message()), HasSubstr(absl::StrCat("--listen: \"", address)));
  }
}

}  // namespace
}  // namespace spikeserve::shared_memory

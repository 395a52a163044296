#include "state/network_saver.h"

#include <cstdint>
#include <latch>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/network_saver_testing.h"
#include "state/state_file.h"

namespace spikeserve::state {
namespace {

using ::testing::AllOf;
using testing::Crash;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::Numbers;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

const absl::Status kFull = absl::ResourceExhaustedError("cannot write: No space left on device");

TEST_F(NetworkSaverTest, ANetworkGoesOnBitForBitOnAnotherServer) {
  Service first(disk_);
  const std::string name = first.Create();
  // Something of everything: what the optimiser remembers, gradients, masks, thresholds, a state in mid-sequence.
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(first.Train(name).ok());
  const std::vector<float> margin(32, 1.0f);
  ASSERT_TRUE(first.At(name).SetTraining(true).ok());
  ASSERT_TRUE(
      first.At(name)
          .SetThresholdMargin({.layer = "out", .label_one_hot = TensorView(absl::MakeConstSpan(margin), {8, 4})})
          .ok());
  const Numbers input({5, 8, 6}, 1), grad({5, 8, 4}, 2);
  ASSERT_TRUE(first.At(name).Forward({.input = input, .keep_trace = true}).ok());
  ASSERT_TRUE(first.At(name).Backward({.grad_output = grad}).ok());
  ASSERT_TRUE(first.saver->Save());

  Service second(disk_);
  EXPECT_EQ(second.loaded, 1);
  EXPECT_THAT(second.said, IsEmpty());
  EXPECT_EQ(second.Everything(name), first.Everything(name));
  for (Service* service : {&first, &second}) {
    ASSERT_TRUE(service->At(name).Forward({.input = input, .keep_trace = true}).ok());
    ASSERT_TRUE(service->At(name).Backward({.grad_output = grad}).ok());
    ASSERT_TRUE(service->At(name).ApplyGradients(Adam{.learning_rate = 0.02}).ok());
    for (int i = 0; i < 2; ++i) ASSERT_TRUE(service->Train(name).ok());
  }
  EXPECT_EQ(second.Everything(name), first.Everything(name));
}

TEST_F(NetworkSaverTest, TheLastNumberedChangeMayBeRepeatedOnAnotherServer) {
  Service first(disk_);
  const std::string trained = first.Create(), run = first.Create();
  ASSERT_TRUE(first.Train(trained, 0).ok());
  const auto step = first.Train(trained, 1);
  const Numbers input({3, 8, 6}, 3);
  const ForwardArgs forward{.input = input, .records = {{.layer = "hidden", .v_before_reset = true}}, .step = 0};
  const auto output = first.At(run).Forward(forward);
  ASSERT_TRUE(step.ok() && output.ok()) << step.status() << output.status();
  ASSERT_TRUE(first.saver->Save());

  Service second(disk_);
  const auto again = second.Train(trained, 1);
  ASSERT_TRUE(again.ok()) << again.status();
  testing::ExpectSame(*again, *step);
  EXPECT_EQ(again->next_step, 2u);
  const auto output_again = second.At(run).Forward(forward);
  ASSERT_TRUE(output_again.ok()) << output_again.status();
  EXPECT_EQ(output_again->output.ToDoubles(), output->output.ToDoubles());
  EXPECT_EQ(output_again->records[0].v_before_reset->ToDoubles(), output->records[0].v_before_reset->ToDoubles());
  // They were not made a second time.
  for (const std::string& name : {trained, run}) EXPECT_EQ(second.Everything(name), first.Everything(name));
  EXPECT_EQ(second.Train(trained, 0).status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(second.Train(trained, 2).ok());
}

TEST_F(NetworkSaverTest, OnlyWhatChangedIsWrittenAgain) {
  std::string a, b;
  {
    Service first(disk_);
    a = first.Create();
    b = first.Create();
    EXPECT_TRUE(first.saver->Save());
    EXPECT_EQ(Begun(), 2);
    EXPECT_TRUE(first.saver->Save());
    EXPECT_EQ(Begun(), 0);
    ASSERT_TRUE(first.Train(a).ok());
    EXPECT_FALSE(first.Train(b, 9).ok()) << "a change that is refused is none";
    EXPECT_EQ(first.At(b).Get()->next_step, 0u) << "to look at it is none either";
    EXPECT_TRUE(first.saver->Save());
    EXPECT_EQ(Begun(), 1);
  }
  Service second(disk_);
  EXPECT_TRUE(second.saver->Save());
  EXPECT_EQ(Begun(), 0) << "what was loaded is there";
  ASSERT_TRUE(second.Train(b).ok());
  EXPECT_TRUE(second.saver->Save());
  EXPECT_EQ(Begun(), 1);
}

TEST_F(NetworkSaverTest, DeletedAndExpiredNetworksAreRemoved) {
  absl::Time now = absl::FromUnixSeconds(1000);
  server::EngineOptions options;
  options.clock = [&now] { return now; };
  options.limits.network_idle_timeout = absl::Hours(1);
  Service service(disk_, options);
  const std::string deleted = service.Create(), expired = service.Create(), kept = service.Create();
  EXPECT_TRUE(service.saver->Save());
  EXPECT_THAT(disk_->Names(), SizeIs(3));
  ASSERT_TRUE(service.At(deleted).Delete().ok());
  now += absl::Minutes(50);
  ASSERT_TRUE(service.At(kept).Get().ok());
  // Saving is no use of a network.
  EXPECT_TRUE(service.saver->Save());
  EXPECT_THAT(disk_->Names(), UnorderedElementsAre(expired + ".network", kept + ".network"));
  service.WaitForStrands();  // A busy network does not expire.
  now += absl::Minutes(20);
  EXPECT_TRUE(service.saver->Save());
  EXPECT_THAT(disk_->Names(), ElementsAre(kept + ".network"));
  disk_->Restart(Crash::kKeepsWhatWasSynced);
  EXPECT_THAT(disk_->Names(), ElementsAre(kept + ".network"));
}

TEST_F(NetworkSaverTest, AFullDiskIsToldOnceAndTheServerGoesOn) {
  Service service(disk_);
  const std::string a = service.Create(), b = service.Create();
  ASSERT_TRUE(service.saver->Save());
  const std::string bytes = disk_->Bytes(a + ".network");
  disk_->before = [](const std::string& operation, int) { return operation == "write" ? kFull : absl::OkStatus(); };
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(service.Train(a).ok() && service.Train(b).ok());
    EXPECT_FALSE(service.saver->Save());
  }
  EXPECT_THAT(service.said, ElementsAre(HasSubstr("cannot write: No space left on device")));
  EXPECT_EQ(disk_->Bytes(a + ".network"), bytes);
  EXPECT_THAT(disk_->Names(), SizeIs(2));
  // Another condition.
  disk_->before = [](const std::string& operation, int) {
    return absl::StartsWith(operation, "create") ? absl::PermissionDeniedError("cannot create a file: Read-only")
                                                 : absl::OkStatus();
  };
  for (int i = 0; i < 2; ++i) EXPECT_FALSE(service.saver->Save());
  ASSERT_THAT(service.said, SizeIs(2));
  EXPECT_THAT(service.said[1], HasSubstr("cannot create a file: Read-only"));

  disk_->Restart(Crash::kKeepsAll);
  for (int i = 0; i < 2; ++i) EXPECT_TRUE(service.saver->Save());
  ASSERT_THAT(service.said, SizeIs(3));
  EXPECT_EQ(service.said[2], "all networks are written again");
  Service second(disk_);
  EXPECT_EQ(second.Everything(a), service.Everything(a));
  EXPECT_EQ(second.Everything(b), service.Everything(b));
  // What fails anew is told anew.
  disk_->before = [](const std::string&, int) { return kFull; };
  ASSERT_TRUE(service.Train(a).ok());
  EXPECT_FALSE(service.saver->Save());
  EXPECT_THAT(service.said, SizeIs(4));
}

// After every number of operations of two saves.
TEST_F(NetworkSaverTest, ACrashAtAnyPointLosesAtMostWhatWasSinceTheLastSave) {
  std::string name, states[3];
  int first_save = 0, second_save = 0;
  for (int crash_at = 0; crash_at == 0 || crash_at <= second_save; ++crash_at) {
    SCOPED_TRACE(crash_at);
    for (const Crash crash : testing::kCrashes) {
      const auto disk = std::make_shared<FakeDisk>();
      disk->max_write = 2000;
      disk->before = [&](const std::string&, int number) {
        return crash_at == 0 || number < crash_at ? absl::OkStatus() : absl::AbortedError("down");
      };
      {
        Service service(disk);
        name = service.Create();
        for (int i = 0; i < 3; ++i) {
          states[i] = service.Everything(name);
          if (i < 2) service.saver->Save();
          (i == 0 ? first_save : second_save) = static_cast<int>(disk->operations.size());
          ASSERT_TRUE(service.Train(name).ok());
        }
      }
      disk->Restart(crash);
      Service after(disk);
      EXPECT_THAT(after.said, IsEmpty());
      if (crash_at == 0) second_save = static_cast<int>(disk->operations.size());
      const int saved = crash_at == 0 || crash_at >= second_save ? 2 : crash_at >= first_save ? 1 : 0;
      if (after.Networks().empty()) {
        EXPECT_EQ(saved, 0);
        continue;
      }
      const std::string got = after.Everything(name);
      EXPECT_TRUE((saved == 0 && got == states[0]) || (saved == 1 && (got == states[0] || got == states[1])) ||
                  (saved == 2 && got == states[1]))
          << "saved " << saved << ", next_step " << got.substr(0, 1);
    }
  }
}

TEST_F(NetworkSaverTest, ASlowDiskHoldsUpNoCall) {
  Service service(disk_);
  const std::string name = service.Create();
  std::latch writing(1), go_on(1);
  disk_->before = [&](const std::string& operation, int) {
    if (operation == "write") {
      writing.count_down();
      go_on.wait();
    }
    return absl::OkStatus();
  };
  std::thread saving([&] { EXPECT_TRUE(service.saver->Save()); });
  writing.wait();
  EXPECT_TRUE(service.Train(name).ok());
  EXPECT_TRUE(service.At(name).Get().ok());
  go_on.count_down();
  saving.join();
}

TEST_F(NetworkSaverTest, FailuresAreCountedUntilAllIsWritten) {
  Service service(disk_);
  const std::string name = service.Create();
  disk_->before = [](const std::string&, int) { return kFull; };
  const absl::Time begin = absl::Now();
  for (int failures = 1; failures <= 3; ++failures) {
    EXPECT_FALSE(service.saver->Save());
    EXPECT_EQ(service.saver->statistics().failures, failures);
    EXPECT_LT(service.saver->statistics().last_success, begin);
  }
  // What is deleted needs no file.
  ASSERT_TRUE(service.At(name).Delete().ok());
  disk_->before = [](const std::string&, int) { return absl::OkStatus(); };
  EXPECT_TRUE(service.saver->Save());
  EXPECT_EQ(service.saver->statistics().failures, 0);
  EXPECT_GE(service.saver->statistics().last_success, begin);
  EXPECT_THAT(service.said, ElementsAre(HasSubstr("not all networks are written"), "all networks are written again"));
}

// A snapshot is between two changes, also while they come one after the other.
TEST_F(NetworkSaverTest, WhatIsSavedDuringTrainingIsAStepOfIt) {
  constexpr int kSteps = 30;
  std::vector<std::string> states;
  Service service(disk_);
  const std::string name = service.Create();
  std::thread training([&] {
    for (int i = 0; i < kSteps; ++i) {
      states.push_back(service.Everything(name));
      EXPECT_TRUE(service.Train(name).ok());
    }
    states.push_back(service.Everything(name));
  });
  std::vector<std::string> files;
  do {
    EXPECT_TRUE(service.saver->Save());
    files.push_back(disk_->Bytes(name + ".network"));
  } while (DecodeStateFile(files.back())->next_step() < kSteps);
  training.join();
  for (const std::string& file : files) {
    disk_->Put(name + ".network", file);
    Service other(disk_);
    EXPECT_EQ(other.Everything(name), states[DecodeStateFile(file)->next_step()]);
  }
}

TEST_F(NetworkSaverTest, LimitsHoldWhenNetworksAreLoadedAndWhatDoesNotFitIsLeft) {
  std::vector<std::string> names;
  int64_t bytes;
  {
    Service service(disk_);
    for (int i = 0; i < 3; ++i) names.push_back(service.Create());
    ASSERT_TRUE(service.saver->Save());
    bytes = service.client->ListNetworks()->front().bytes;
  }
  const std::vector<std::string> files = disk_->Names();
  const auto expect_left = [&](const server::Limits& limits, int loaded, const char* flag) {
    server::EngineOptions options;
    options.limits = limits;
    Service service(disk_, options);
    EXPECT_EQ(service.loaded, loaded);
    EXPECT_THAT(service.said, SizeIs(3 - loaded));
    for (const std::string& line : service.said) EXPECT_THAT(line, HasSubstr(flag));
    EXPECT_TRUE(service.saver->Save());
    EXPECT_EQ(disk_->Names(), files);
  };
  server::Limits limits;
  limits.max_networks = 2;
  expect_left(limits, 2, "--max-networks");
  limits = {};
  limits.max_network_bytes = 2 * bytes;
  expect_left(limits, 2, "--max-network-bytes");
  limits.max_network_bytes = 100;
  expect_left(limits, 0, "--max-network-bytes");
  limits = {};
  limits.max_decoded_bytes = 8;
  expect_left(limits, 0, "--max-decoded-bytes");
  expect_left({}, 3, "");
}

TEST_F(NetworkSaverTest, AFileThatIsLargerThanTheLimitsAllowIsNotRead) {
  server::EngineOptions options;
  options.limits.max_network_bytes = 10'000;
  const std::string file = std::string(32, 'a') + ".network", damaged((64 << 20) + 20'000, 'x');
  disk_->Put(file, damaged);
  Service small(disk_, options);
  EXPECT_THAT(small.said, ElementsAre(AllOf(HasSubstr("its file is left as it is"), HasSubstr("--max-network-bytes"))));
  EXPECT_THAT(disk_->Names(), ElementsAre(file));
  // Of what is held already there is less room.
  const int64_t room = RoomForFile(*small.engine);
  small.Create();
  EXPECT_EQ(RoomForFile(*small.engine), room - small.engine->networks().Total().bytes);
  options.limits.max_network_bytes_per_identity = 100;
  EXPECT_LT(RoomForFile(*Service(std::make_shared<FakeDisk>(), options).engine), room);
  // Where the limits allow it, it is read.
  options.limits = {};
  EXPECT_THAT(Service(disk_, options).said, ElementsAre(HasSubstr("is corrupt")));
}

TEST_F(NetworkSaverTest, ANetworkThatTakesAllThatTheLimitsAllowIsLoaded) {
  server::EngineOptions options;
  std::string name;
  {
    Service service(disk_);
    name = service.Create();
    for (uint64_t step = 0; step < 2; ++step) ASSERT_TRUE(service.Train(name, step).ok());
    ASSERT_TRUE(service.saver->Save());
  }
  options.limits.max_network_bytes = Service(disk_).engine->networks().Total().bytes;
  Service service(disk_, options);
  EXPECT_EQ(service.loaded, 1);
  EXPECT_THAT(service.said, IsEmpty());
}

TEST_F(NetworkSaverTest, AFileWithWrongLayersOrAWrongReplyIsSetAside) {
  std::string name;
  {
    Service service(disk_);
    name = service.Create();
    ASSERT_TRUE(service.Train(name, 0).ok() && service.saver->Save());
  }
  const std::string file = name + ".network";
  const v1::StoredNetwork good = *DecodeStateFile(disk_->Bytes(file));
  const auto expect_set_aside = [&](const v1::StoredNetwork& network) {
    disk_->Put(file, *EncodeStateFile(network));
    Service service(disk_);
    EXPECT_EQ(service.loaded, 0);
    EXPECT_THAT(service.said, ElementsAre(HasSubstr("is corrupt")));
  };
  v1::StoredNetwork bad = good;
  bad.mutable_checkpoint()->clear_layers();
  expect_set_aside(bad);
  bad = good;
  bad.mutable_checkpoint()->mutable_layers(0)->mutable_linear()->mutable_weight()->mutable_data()->pop_back();
  expect_set_aside(bad);
  bad = good;
  bad.mutable_checkpoint()->mutable_optimizer_state()->mutable_first_moments(0)->set_layer("other");
  expect_set_aside(bad);
  bad = good;
  bad.mutable_last_reply()->set_message("\xff");
  expect_set_aside(bad);
  // A reply of a later server that this one has no call for.
  bad = good;
  bad.mutable_last_reply()->set_type("spikeserve.v1.LaterResponse");
  disk_->Put(file, *EncodeStateFile(bad));
  Service service(disk_);
  EXPECT_EQ(service.loaded, 1);
  EXPECT_EQ(service.Train(name, 0).status().code(), absl::StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace spikeserve::state

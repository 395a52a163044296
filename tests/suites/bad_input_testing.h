// What the suites of bad input share: a call with a request in Protobuf's text format, and what its refusal has to say.

#ifndef SPIKESERVE_TESTS_SUITES_BAD_INPUT_TESTING_H_
#define SPIKESERVE_TESTS_SUITES_BAD_INPUT_TESTING_H_

#include <memory>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "google/protobuf/text_format.h"
#include "gtest/gtest.h"
#include "runtime/method.h"
#include "spikeserve/compute/field_error.h"
#include "suites/transport.h"

namespace spikeserve::testing {

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
constexpr auto kExhausted = absl::StatusCode::kResourceExhausted;
constexpr auto kNotFound = absl::StatusCode::kNotFound;
constexpr auto kPrecondition = absl::StatusCode::kFailedPrecondition;

// A request, the code and the field of its refusal, and what the message has to say.
struct BadCase {
  std::string method;
  std::string request;
  absl::StatusCode code;
  std::string field;
  std::vector<std::string> says;
};

class BadInputTest : public TransportTest {
 protected:
  // Makes a call of `method` ("SpikeFunctionService/SpikeCluster") with a request in Protobuf's text format.
  absl::Status Call(const std::string& method, const std::string& text, Message* response = nullptr) {
    const std::string path = "/spikeserve.v1." + method;
    const server::Method& entry = server::Methods().at(path);
    std::unique_ptr<Message> request(entry.request_prototype->New());
    if (!google::protobuf::TextFormat::ParseFromString(text, request.get())) {
      ADD_FAILURE() << "the test's request does not parse: " << text;
    }
    const auto* descriptor =
        google::protobuf::DescriptorPool::generated_pool()->FindMethodByName(Dotted(path))->output_type();
    std::unique_ptr<Message> own(
        google::protobuf::MessageFactory::generated_factory()->GetPrototype(descriptor)->New());
    return transport().Call(path, *request, response != nullptr ? response : own.get());
  }

  // Each request is refused with its code, and a message that names the field, what came and what is needed.
  void ExpectRefused(const std::vector<BadCase>& cases) {
    for (const BadCase& c : cases) {
      SCOPED_TRACE(c.method + " " + c.request);
      const absl::Status status = Call(c.method, c.request);
      EXPECT_EQ(status.code(), c.code) << status;
      EXPECT_EQ(FieldOf(status), c.field) << status;
      EXPECT_THAT(std::string(status.message()), ::testing::HasSubstr(c.field));
      EXPECT_THAT(std::string(status.message()), ::testing::HasSubstr("need"));
      for (const std::string& said : c.says) {
        EXPECT_THAT(std::string(status.message()), ::testing::HasSubstr(said));
      }
    }
    ExpectServes();
  }

  void ExpectServes() {
    EXPECT_TRUE(
        Call("SpikeFunctionService/FirstSpikeIndex", "spikes { dtype: DATA_TYPE_BOOL shape: 3 data: '\\0\\1\\1' }")
            .ok());
  }

 private:
  static std::string Dotted(std::string path) {
    path = path.substr(1);
    path[path.find('/')] = '.';
    return path;
  }
};

}  // namespace spikeserve::testing

#endif  // SPIKESERVE_TESTS_SUITES_BAD_INPUT_TESTING_H_

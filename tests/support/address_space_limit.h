// Memory that is not there, whatever the system lets processes overcommit.

#ifndef SPIKESERVE_TESTS_SUPPORT_ADDRESS_SPACE_LIMIT_H_
#define SPIKESERVE_TESTS_SUPPORT_ADDRESS_SPACE_LIMIT_H_

#include <sys/resource.h>

#include "gtest/gtest.h"

namespace spikeserve::testing {

// While it lives, this process and those that it starts get no addresses beyond so many bytes of them in all.
class AddressSpaceLimit {
 public:
  explicit AddressSpaceLimit(rlim_t bytes) {
    EXPECT_EQ(getrlimit(RLIMIT_AS, &before_), 0);
    const rlimit limit = {bytes < before_.rlim_max ? bytes : before_.rlim_max, before_.rlim_max};
    EXPECT_EQ(setrlimit(RLIMIT_AS, &limit), 0);
  }
  ~AddressSpaceLimit() { setrlimit(RLIMIT_AS, &before_); }
  AddressSpaceLimit(const AddressSpaceLimit&) = delete;
  AddressSpaceLimit& operator=(const AddressSpaceLimit&) = delete;

 private:
  rlimit before_ = {};
};

}  // namespace spikeserve::testing

#endif  // SPIKESERVE_TESTS_SUPPORT_ADDRESS_SPACE_LIMIT_H_

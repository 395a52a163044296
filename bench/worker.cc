#include "bench/worker.h"

#include <exception>
#include <iostream>
#include <string>

namespace spikeserve::bench {

void ServeLines(const std::function<Json(const Json& request)>& answer) {
  for (std::string line; std::getline(std::cin, line);) {
    Json reply;
    try {
      reply = answer(Json::parse(line));
    } catch (const std::exception& error) {
      reply = {{"error", error.what()}};
    }
    std::cout << reply.dump() << std::endl;
  }
}

std::vector<double> SecondsOf(int repetitions, absl::FunctionRef<void()> run) {
  std::vector<double> seconds;
  for (int i = 0; i < repetitions; ++i) {
    const auto begin = std::chrono::steady_clock::now();
    run();
    seconds.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
  }
  return seconds;
}

}  // namespace spikeserve::bench

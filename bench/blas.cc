// Measures OpenBLAS as it is for many threads; a program of its own, which is built where that is installed.
//
// A request: n, k, m, threads, repetitions: ret [n, k] = x [n, m] times the transpose of y [k, m], of floats.

#include <algorithm>
#include <random>
#include <vector>

#include "bench/worker.h"

extern "C" {
// Of OpenBLAS's cblas.h; the packages with it are for one kind of OpenBLAS each.
void cblas_sgemm(int order, int trans_a, int trans_b, int m, int n, int k, float alpha, const float* a, int lda,
                 const float* b, int ldb, float beta, float* c, int ldc);
void openblas_set_num_threads(int threads);
char* openblas_get_config();
}

namespace spikeserve::bench {
namespace {

constexpr int kRowMajor = 101, kNoTranspose = 111, kTranspose = 112;

class Sgemm {
 public:
  Json Answer(const Json& request) {
    if (request.contains("about")) return {{"openblas", openblas_get_config()}};
    const int n = request.at("n").get<int>(), k = request.at("k").get<int>(), m = request.at("m").get<int>();
    Fill(x_, static_cast<size_t>(n) * m);
    Fill(y_, static_cast<size_t>(k) * m);
    Fill(ret_, static_cast<size_t>(n) * k);
    openblas_set_num_threads(request.at("threads").get<int>());
    return {{"seconds", SecondsOf(request.at("repetitions").get<int>(), [&] {
               cblas_sgemm(kRowMajor, kNoTranspose, kTranspose, n, k, m, 1, x_.data(), m, y_.data(), m, 0, ret_.data(),
                           k);
             })}};
  }

 private:
  static void Fill(std::vector<float>& values, size_t count) {
    if (values.size() == count) return;
    values.resize(count);
    std::minstd_rand random(1);
    std::generate(values.begin(), values.end(), [&] { return std::uniform_real_distribution<float>()(random); });
  }

  std::vector<float> x_, y_, ret_;
};

}  // namespace
}  // namespace spikeserve::bench

int main() {
  spikeserve::bench::Sgemm sgemm;
  spikeserve::bench::ServeLines([&](const auto& request) { return sgemm.Answer(request); });
}

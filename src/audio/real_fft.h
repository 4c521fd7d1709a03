// Magnitudes of the discrete Fourier transform of real samples, in float64: one complex transform of half the length, radix 2.
#pragma once
#include <complex>
#include <vector>

namespace g3n {

class RealFft {
 public:
  explicit RealFft(int length);  // a power of two, at least 4

  // samples: [length]; magnitudes: [length / 2 + 1]. Not thread-safe: the work space is a member.
  void magnitudes(const double* samples, double* magnitudes);

 private:
  int half_;
  std::vector<int> reversed_;                    // [half] bit reversal
  std::vector<std::complex<double>> twiddles_;   // [half] exp(-2 pi i k / length)
  std::vector<std::complex<double>> work_;       // [half]
};

}  // namespace g3n

// Magnitudes of the discrete Fourier transform of real samples, in float64: one complex transform of half the length,
// radix 2, self-sorting.
#pragma once
#include <vector>

namespace g3n {

class RealFft {
 public:
  explicit RealFft(int length);  // a power of two, at least 4

  // samples: [length]; magnitudes: [length / 2 + 1]. Not thread-safe: the work space is a member.
  void magnitudes(const double* samples, double* magnitudes);

 private:
  // Real and imaginary parts apart, so that the loops vectorise.
  struct Complex {
    explicit Complex(int size) : re(size), im(size) {}
    std::vector<double> re, im;
  };
  void transform();  // z_, in place

  int half_;
  Complex twiddles_;     // [half] exp(-2 pi i k / length)
  Complex z_, scratch_;  // [half]
};

}  // namespace g3n

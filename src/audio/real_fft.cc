// Even samples are the real, odd samples the imaginary part of z. With Z its transform of length n/2 and w = exp(-2 pi i / n):
//   X[k] = (Z[k] + conj(Z[n/2-k])) / 2  -  i w^k (Z[k] - conj(Z[n/2-k])) / 2
#include "audio/real_fft.h"

#include <cmath>
#include <numbers>

namespace g3n {

RealFft::RealFft(int length) : half_(length / 2), reversed_(half_), twiddles_(half_), work_(half_) {
  for (int i = 0; i < half_; ++i) {
    const double angle = -2.0 * std::numbers::pi * i / length;
    twiddles_[i] = {std::cos(angle), std::sin(angle)};
    reversed_[i] = (reversed_[i / 2] / 2) | (i & 1 ? half_ / 2 : 0);
  }
}

void RealFft::magnitudes(const double* samples, double* magnitudes) {
  for (int i = 0; i < half_; ++i) work_[reversed_[i]] = {samples[2 * i], samples[2 * i + 1]};
  for (int size = 2; size <= half_; size *= 2) {
    const int step = 2 * half_ / size;  // twiddles_ is for the length 2 * half_
    for (int start = 0; start < half_; start += size) {
      for (int k = 0; k < size / 2; ++k) {
        std::complex<double>&a = work_[start + k], &b = work_[start + k + size / 2];
        const std::complex<double> w = twiddles_[k * step];
        const double re = b.real() * w.real() - b.imag() * w.imag(), im = b.real() * w.imag() + b.imag() * w.real();
        b = {a.real() - re, a.imag() - im};
        a = {a.real() + re, a.imag() + im};
      }
    }
  }
  const double dc = work_[0].real(), nyquist = work_[0].imag();
  magnitudes[0] = std::abs(dc + nyquist);
  magnitudes[half_] = std::abs(dc - nyquist);
  for (int k = 1; k < half_; ++k) {
    const std::complex<double> z = work_[k], mirrored = std::conj(work_[half_ - k]), w = twiddles_[k];
    const std::complex<double> even = z + mirrored, odd = z - mirrored;
    const double re = even.real() + (w.real() * odd.imag() + w.imag() * odd.real());
    const double im = even.imag() - (w.real() * odd.real() - w.imag() * odd.imag());
    magnitudes[k] = 0.5 * std::sqrt(re * re + im * im);
  }
}

}  // namespace g3n

// Even samples are the real, odd samples the imaginary part of z. With Z its transform of length n/2 and w = exp(-2 pi
// i / n):
//   X[k] = (Z[k] + conj(Z[n/2-k])) / 2  -  i w^k (Z[k] - conj(Z[n/2-k])) / 2
// Z comes from Stockham's algorithm: each pass reads one array and writes the other, so that no bit reversal is needed.
#include "audio/real_fft.h"

#include <cmath>
#include <numbers>
#include <utility>

namespace g3n {

RealFft::RealFft(int length) : half_(length / 2), twiddles_(half_), z_(half_), scratch_(half_) {
  for (int i = 0; i < half_; ++i) {
    const double angle = -2.0 * std::numbers::pi * i / length;
    twiddles_.re[i] = std::cos(angle);
    twiddles_.im[i] = std::sin(angle);
  }
}

// A pass turns `stride` interleaved transforms of length n into twice as many of length n / 2.
void RealFft::transform() {
  for (int n = half_, stride = 1; n > 1; n /= 2, stride *= 2) {
    const int m = n / 2;
    for (int p = 0; p < m; ++p) {
      const double wr = twiddles_.re[2 * p * stride], wi = twiddles_.im[2 * p * stride];  // exp(-2 pi i p / n)
      const double *ar = &z_.re[stride * p], *ai = &z_.im[stride * p], *br = &z_.re[stride * (p + m)],
                   *bi = &z_.im[stride * (p + m)];
      double* __restrict sr = &scratch_.re[stride * 2 * p], * __restrict si = &scratch_.im[stride * 2 * p];
      double* __restrict dr = sr + stride, * __restrict di = si + stride;
      for (int q = 0; q < stride; ++q) {
        const double re = ar[q] - br[q], im = ai[q] - bi[q];
        sr[q] = ar[q] + br[q];
        si[q] = ai[q] + bi[q];
        dr[q] = re * wr - im * wi;
        di[q] = re * wi + im * wr;
      }
    }
    std::swap(z_, scratch_);
  }
}

void RealFft::magnitudes(const double* samples, double* magnitudes) {
  for (int i = 0; i < half_; ++i) {
    z_.re[i] = samples[2 * i];
    z_.im[i] = samples[2 * i + 1];
  }
  transform();
  magnitudes[0] = std::abs(z_.re[0] + z_.im[0]);
  magnitudes[half_] = std::abs(z_.re[0] - z_.im[0]);
  for (int k = 1; k < half_; ++k) {
    const int mirrored = half_ - k;
    const double even_re = z_.re[k] + z_.re[mirrored], even_im = z_.im[k] - z_.im[mirrored];
    const double odd_re = z_.re[k] - z_.re[mirrored], odd_im = z_.im[k] + z_.im[mirrored];
    const double re = even_re + (twiddles_.re[k] * odd_im + twiddles_.im[k] * odd_re);
    const double im = even_im - (twiddles_.re[k] * odd_re - twiddles_.im[k] * odd_im);
    magnitudes[k] = 0.5 * std::sqrt(re * re + im * im);
  }
}

}  // namespace g3n

#include "bench/machine_speed.h"

#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>

#include "core/arena.h"

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

namespace g3n::bench {
namespace {

constexpr int kRuns = 7;
constexpr int64_t kReadBytes = int64_t{1} << 30, kReadGrain = int64_t{1} << 20;
constexpr int64_t kLoops = 4'000'000;  // of a peak loop; tens of milliseconds
constexpr int kChains = 12;            // independent sums: more than latency times FMAs per cycle

typedef uint64_t Words __attribute__((vector_size(16)));

std::atomic<uint64_t> sink{0};  // keeps results alive

uint64_t read_all(const std::byte* data, int64_t bytes) {
  const Words* at = reinterpret_cast<const Words*>(data);
  Words a{}, b{}, c{}, d{};
  for (int64_t i = 0; i < bytes / 16; i += 4) a ^= at[i], b ^= at[i + 1], c ^= at[i + 2], d ^= at[i + 3];
  a ^= b ^ c ^ d;
  return a[0] ^ a[1];
}

// One loop per instruction set: kLoops times kChains FMAs. Returns a value that depends on all of them.
#if defined(__x86_64__)
__attribute__((target("avx2,fma"))) float fma_loop_avx2() {
  __m256 sum[kChains];
  for (__m256& s : sum) s = _mm256_setzero_ps();
  const __m256 x = _mm256_set1_ps(0.999f), y = _mm256_set1_ps(0.001f);
  for (int64_t i = 0; i < kLoops; ++i)
#pragma GCC unroll 12
    for (int c = 0; c < kChains; ++c) sum[c] = _mm256_fmadd_ps(sum[c], x, y);
  float out = 0;
  for (const __m256& s : sum) out += _mm256_cvtss_f32(s);
  return out;
}
__attribute__((target("avx512f"))) float fma_loop_avx512() {
  __m512 sum[kChains];
  for (__m512& s : sum) s = _mm512_setzero_ps();
  const __m512 x = _mm512_set1_ps(0.999f), y = _mm512_set1_ps(0.001f);
  for (int64_t i = 0; i < kLoops; ++i)
#pragma GCC unroll 12
    for (int c = 0; c < kChains; ++c) sum[c] = _mm512_fmadd_ps(sum[c], x, y);
  float out = 0;
  for (const __m512& s : sum) out += _mm512_cvtss_f32(s);
  return out;
}
__attribute__((target("avx512f,avx512bf16"))) float dot_loop_avx512() {
  __m512 sum[kChains];
  for (__m512& s : sum) s = _mm512_setzero_ps();
  const __m512bh x = (__m512bh)_mm512_set1_epi32(0x3c003c00);
  for (int64_t i = 0; i < kLoops; ++i)
#pragma GCC unroll 12
    for (int c = 0; c < kChains; ++c) sum[c] = _mm512_dpbf16_ps(sum[c], x, x);
  float out = 0;
  for (const __m512& s : sum) out += _mm512_cvtss_f32(s);
  return out;
}
__attribute__((target("avx512f,avx512vnni"))) float int8_loop_avx512() {
  __m512i sum[kChains];
  for (__m512i& s : sum) s = _mm512_setzero_si512();
  const __m512i x = _mm512_set1_epi8(1);
  for (int64_t i = 0; i < kLoops; ++i)
#pragma GCC unroll 12
    for (int c = 0; c < kChains; ++c) sum[c] = _mm512_dpbusd_epi32(sum[c], x, x);
  int out = 0;
  for (const __m512i& s : sum) out += _mm512_cvtsi512_si32(s);
  return static_cast<float>(out);
}
__attribute__((target("avx2,avxvnni"))) float int8_loop_avxvnni() {
  __m256i sum[kChains];
  for (__m256i& s : sum) s = _mm256_setzero_si256();
  const __m256i x = _mm256_set1_epi8(1);
  for (int64_t i = 0; i < kLoops; ++i)
#pragma GCC unroll 12
    for (int c = 0; c < kChains; ++c) sum[c] = _mm256_dpbusd_avx_epi32(sum[c], x, x);
  int out = 0;
  for (const __m256i& s : sum) out += _mm256_cvtsi256_si32(s);
  return static_cast<float>(out);
}
__attribute__((target("avx2"))) float int8_loop_avx2() {
  __m256i sum[kChains];
  for (__m256i& s : sum) s = _mm256_setzero_si256();
  const __m256i x = _mm256_set1_epi8(1);
  for (int64_t i = 0; i < kLoops; ++i)
#pragma GCC unroll 12
    for (int c = 0; c < kChains; ++c)
      sum[c] =
          _mm256_add_epi16(_mm256_maddubs_epi16(sum[c], x), x);  // on the sum itself, or the product leaves the loop
  int out = 0;
  for (const __m256i& s : sum) out += _mm256_cvtsi256_si32(s);
  return static_cast<float>(out);
}
struct Loop {
  float (*run)();
  int flops;  // per multiply-add instruction
};
Loop int8_loop() {
  if (__builtin_cpu_supports("avx512vnni")) return {int8_loop_avx512, 128};
  if (__builtin_cpu_supports("avxvnni")) return {int8_loop_avxvnni, 64};
  if (__builtin_cpu_supports("avx2")) return {int8_loop_avx2, 64};
  return {nullptr, 0};
}
Loop fma_loop() {
  if (__builtin_cpu_supports("avx512f")) return {fma_loop_avx512, 32};
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return {fma_loop_avx2, 16};
  return {nullptr, 0};
}
Loop dot_loop() {
  if (__builtin_cpu_supports("avx512bf16")) return {dot_loop_avx512, 64};
  return {nullptr, 0};
}
#else
float fma_loop_neon() {
  float32x4_t sum[kChains];
  for (float32x4_t& s : sum) s = vdupq_n_f32(0);
  const float32x4_t x = vdupq_n_f32(0.999f), y = vdupq_n_f32(0.001f);
  for (int64_t i = 0; i < kLoops; ++i)
#pragma GCC unroll 12
    for (int c = 0; c < kChains; ++c) sum[c] = vfmaq_f32(y, sum[c], x);
  float out = 0;
  for (const float32x4_t& s : sum) out += vgetq_lane_f32(s, 0);
  return out;
}
struct Loop {
  float (*run)();
  int flops;
};
Loop fma_loop() { return {fma_loop_neon, 8}; }
Loop dot_loop() { return {nullptr, 0}; }
__attribute__((target("+dotprod"))) float int8_loop_neon() {
  int32x4_t sum[kChains];
  for (int32x4_t& s : sum) s = vdupq_n_s32(0);
  const int8x16_t x = vdupq_n_s8(1);
  for (int64_t i = 0; i < kLoops; ++i)
#pragma GCC unroll 12
    for (int c = 0; c < kChains; ++c) sum[c] = vdotq_s32(sum[c], x, x);
  int out = 0;
  for (const int32x4_t& s : sum) out += vgetq_lane_s32(s, 0);
  return static_cast<float>(out);
}
Loop int8_loop() { return ::getauxval(AT_HWCAP) & HWCAP_ASIMDDP ? Loop{int8_loop_neon, 32} : Loop{nullptr, 0}; }
#endif

double peak(ThreadPool& pool, const Loop& loop) {
  if (!loop.run) return 0;
  double best = 0;
  for (int run = 0; run < kRuns; ++run) {
    const double start = now_seconds();
    pool.parallel_for(pool.threads(), 1, [&](int64_t begin, int64_t end) {
      for (int64_t t = begin; t < end; ++t) sink += static_cast<uint64_t>(loop.run());
    });
    best = std::max(
        best, static_cast<double>(kLoops * kChains * loop.flops * pool.threads()) / (now_seconds() - start) / 1e9);
  }
  return best;
}

}  // namespace

double now_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

double read_gigabytes_per_second(ThreadPool& pool) {
  std::byte* memory = static_cast<std::byte*>(std::aligned_alloc(size_t{2} << 20, static_cast<size_t>(kReadBytes)));
  if (!memory) return 0;
  ::madvise(memory, static_cast<size_t>(kReadBytes), MADV_HUGEPAGE);
  std::memset(memory, 1, static_cast<size_t>(kReadBytes));
  double best = 0;
  for (int run = 0; run < kRuns; ++run) {
    const double start = now_seconds();
    pool.parallel_for(kReadBytes / kReadGrain, 1, [&](int64_t begin, int64_t end) {
      sink += read_all(memory + begin * kReadGrain, (end - begin) * kReadGrain);
    });
    best = std::max(best, static_cast<double>(kReadBytes) / (now_seconds() - start) / 1e9);
  }
  std::free(memory);
  return best;
}

double fma_f32_gigaflops(ThreadPool& pool) { return peak(pool, fma_loop()); }
double dot_bf16_gigaflops(ThreadPool& pool) { return peak(pool, dot_loop()); }
double dot_int8_gigaops(ThreadPool& pool) { return peak(pool, int8_loop()); }

}  // namespace g3n::bench

// What the machine can do at most, measured: the bounds that benchmarks stand beside. Used by the kernel benchmark.
#pragma once
#include <cstdint>

#include "core/thread_pool.h"

namespace g3n::bench {

double now_seconds();

// Best of several runs of all threads of the pool together.
double read_gigabytes_per_second(ThreadPool& pool);  // from memory: a gigabyte, read once per run
double fma_f32_gigaflops(ThreadPool& pool);          // widest f32 FMA of this CPU; an FMA is two operations
double dot_bf16_gigaflops(ThreadPool& pool);         // vdpbf16ps; 0 where the CPU has none
// vpdpbusd, or vpmaddubsw with the addition of its 16-bit sums, or sdot: the widest that this CPU has; a multiply-add
// is two operations.
double dot_int8_gigaops(ThreadPool& pool);

}  // namespace g3n::bench

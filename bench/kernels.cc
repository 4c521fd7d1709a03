// bench_kernels [--threads N] [--only WORD,...] [--repeat N] [--json]: single kernels at the shapes of E2B, called as
// the layers call them (kernels/ops.h), beside what the machine can do at most. One row: bytes of weights over time,
// against read bandwidth; many: operations over time, against the peak.
// --only ceilings measures the machine alone; --only rows (never by itself) what n rows cost beside one, n = 1..16.
// Weights are random bits that make small finite numbers in every format.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include "bench/machine_speed.h"
#include "core/arena.h"
#include "g3n/error.h"
#include "kernels/ops.h"
#include "kernels/table.h"

namespace g3n::bench {
namespace {

constexpr int64_t kColdBytes =
    int64_t{192} << 20;  // weights are used in turn until so many bytes lie between two uses: more than a cache holds
constexpr double kShortest = 0.02;  // seconds of one measurement
constexpr double kLiveNeurons = 0.05;

struct Ceilings {
  double read_gb = 0, int8_gops = 0, f32_gops = 0, bf16_gops = 0;
};
struct Line {
  std::string name;
  double seconds = 0, gb_per_s = 0, gop_per_s = 0, of_ceiling = 0;
  const char* ceiling = "";
  double of_first = 0;  // time beside that of one row; 0: not asked for
};

// Every byte 0x11..0x2f: as f16 and as bf16 a small positive number, as codes anything.
void fill_with_small_numbers(std::byte* data, int64_t bytes, uint64_t seed) {
  uint64_t state = seed * 0x9e3779b97f4a7c15u + 1;
  for (int64_t i = 0; i < bytes; ++i) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    data[i] = static_cast<std::byte>(0x11 + (state >> 40) % 0x1f);
  }
}

std::vector<float> random_values(int64_t n, uint64_t seed) {
  std::vector<float> values(static_cast<size_t>(n));
  uint64_t state = seed;
  for (float& v : values) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    v = static_cast<float>(static_cast<int32_t>(state >> 32)) * 0x1p-31f;
  }
  return values;
}

// The same weight in several places, so that none is found in a cache.
class ColdWeight {
 public:
  ColdWeight(DType dtype, Layout layout, int64_t rows, int64_t cols) {
    const int64_t bytes = packed_bytes(dtype, layout, rows, cols);
    copies_ = std::max<int64_t>(1, (kColdBytes + bytes - 1) / bytes);
    buffer_ = Buffer<std::byte>(copies_ * bytes);
    fill_with_small_numbers(buffer_.data(), buffer_.size(), static_cast<uint64_t>(rows * 31 + cols));
    for (int64_t i = 0; i < copies_; ++i)
      views_.push_back({.dtype = dtype,
                        .layout = layout,
                        .rows = rows,
                        .cols = cols,
                        .step_bytes = packed_step_bytes(dtype, layout, rows, cols),
                        .data = buffer_.data() + i * bytes});
  }
  const WeightView& next() { return views_[static_cast<size_t>(at_++ % copies_)]; }
  int64_t bytes() const { return buffer_.size() / copies_; }

 private:
  Buffer<std::byte> buffer_;
  std::vector<WeightView> views_;
  int64_t copies_ = 1, at_ = 0;
};

class KernelBench {
 public:
  KernelBench(int threads, int repeat) : pool_(threads), repeat_(repeat) {}

  void measure_ceilings() {
    ceilings_ = {read_gigabytes_per_second(pool_), dot_int8_gigaops(pool_), fma_f32_gigaflops(pool_),
                 dot_bf16_gigaflops(pool_)};
  }

  void matmuls(DType dtype) {
    struct Shape {
      const char* name;
      int64_t out, in;
    };
    for (const Shape& s :
         {Shape{"q", 2048, 2048}, Shape{"gate", 8192, 2048}, Shape{"down", 2048, 8192}, Shape{"ple gate", 256, 2048}}) {
      ColdWeight weight(dtype, Layout::kPanels, s.out, s.in);
      for (const int64_t rows : {1, 4, 64, 512}) {
        const std::vector<float> x = random_values(rows * s.in, 1);
        std::vector<float> out(static_cast<size_t>(rows * s.out));
        add(std::string("matmul ") + label(dtype) + " " + s.name + " " + std::to_string(s.out) + "x" +
                std::to_string(s.in) + ", rows " + std::to_string(rows),
            rows, weight.bytes(), 2 * rows * s.out * s.in, dtype, [&](Context& ctx) {
              matmul(ctx, {x.data(), {rows, s.in}}, weight.next(), {out.data(), {rows, s.out}});
            });
      }
    }
  }

  // Where decoding of several sequences or drafts stops being free.
  void few_rows(DType dtype) {
    const int64_t out_width = 8192, in = 2048;
    ColdWeight weight(dtype, Layout::kPanels, out_width, in);
    for (int64_t rows = 1; rows <= 16; ++rows) {
      const std::vector<float> x = random_values(rows * in, 1);
      std::vector<float> out(static_cast<size_t>(rows * out_width));
      add(std::string("rows ") + label(dtype) + " 8192x2048, rows " + std::to_string(rows), 1, weight.bytes(),
          2 * rows * out_width * in, dtype, [&](Context& ctx) {
            matmul(ctx, {x.data(), {rows, in}}, weight.next(), {out.data(), {rows, out_width}});
          });
      lines_.back().of_first = lines_.back().seconds / lines_[lines_.size() - static_cast<size_t>(rows)].seconds;
    }
  }

  // 5 % of the neurons live, each row its own.
  void sparse(DType dtype) {
    const int64_t hidden = 2048, ffn = 8192;
    ColdWeight up(dtype, is_file_type(dtype) ? Layout::kBlocks : Layout::kRows, ffn, hidden),
        down(dtype, Layout::kNeurons, hidden, ffn);
    for (const int64_t rows : {1, 4, 64, 256}) {
      const std::vector<float> x = random_values(rows * hidden, 2);
      std::vector<float> gate = random_values(rows * ffn, 3), out(static_cast<size_t>(rows * hidden));
      int64_t live = 0;
      for (float& g : gate) {
        g = std::max(0.0f, g - static_cast<float>(1 - 2 * kLiveNeurons));
        live += g > 0;
      }
      add(std::string("sparse ") + label(dtype) + " 8192, rows " + std::to_string(rows), rows,
          (up.bytes() + down.bytes()) * live / (rows * ffn), 4 * live * hidden, dtype, [&](Context& ctx) {
            sparse_feed_forward(ctx, {x.data(), {rows, hidden}}, {gate.data(), {rows, ffn}}, up.next(), down.next(),
                                {out.data(), {rows, hidden}});
          });
    }
  }

  // Rows at the end of `keys` positions, each sees all before it.
  void attention_at(DType dtype) {
    const int64_t heads = 8, kv_heads = 2, dim = 256;
    for (const int64_t keys : {1024, 4096, 32768}) {
      const int64_t page_bytes = kv_page_bytes(dtype, kv_heads, dim, keys);
      Buffer<std::byte> page(page_bytes);
      std::byte* const pages[] = {page.data()};
      const KeyValues kv{.dtype = dtype, .kv_heads = kv_heads, .head_dim = dim, .pages = pages, .page_positions = keys};
      run_once([&](Context& ctx) {
        const std::vector<float> k = random_values(512 * kv_heads * dim, 4);
        for (int64_t first = 0; first < keys; first += 512)
          kv_append(ctx, kv, first, {k.data(), {512, kv_heads * dim}}, {k.data(), {512, kv_heads * dim}});
      });
      for (const int64_t rows : {1, 256}) {
        if (rows > 1 && keys > 4096) continue;
        const std::vector<float> q = random_values(rows * heads * dim, 5);
        std::vector<float> out(q.size());
        std::vector<KeyRange> visible;
        int64_t pairs = 0;
        for (int64_t r = 0; r < rows; ++r) visible.push_back({0, keys - rows + 1 + r}), pairs += visible.back().end;
        const AttentionSequence sequences[] = {{kv, 0, visible}};
        add(std::string("attention ") + label(dtype) + " keys " + std::to_string(keys) + ", rows " +
                std::to_string(rows),
            rows, page_bytes, pairs * heads * dim * 4, rows == 1 ? dtype : DType::kF32, [&](Context& ctx) {
              attention(ctx, {q.data(), {rows, heads * dim}}, heads, sequences, {out.data(), {rows, heads * dim}});
            });
      }
    }
  }

  void print() const {
    std::printf("%s, %d threads: read %.1f GB/s, int8 %.0f GOP/s, f32 %.0f GFLOP/s, bf16 dot %.0f GFLOP/s\n",
                best_kernels().name, pool_.threads(), ceilings_.read_gb, ceilings_.int8_gops, ceilings_.f32_gops,
                ceilings_.bf16_gops);
    for (const Line& line : lines_) {
      std::printf("%-46s %9.1f us %8.1f GB/s %8.1f GOP/s  %3.0f %% of %s", line.name.c_str(), line.seconds * 1e6,
                  line.gb_per_s, line.gop_per_s, line.of_ceiling * 100, line.ceiling);
      line.of_first > 0 ? std::printf(", %.2f x one row\n", line.of_first) : std::printf("\n");
    }
  }

  void print_json() const {
    std::printf(
        "{\"isa\": \"%s\", \"threads\": %d, \"read_gb_per_s\": %.3f, \"int8_gop_per_s\": %.3f, \"f32_gflop_per_s\": "
        "%.3f, \"bf16_gflop_per_s\": %.3f, \"kernels\": [",
        best_kernels().name, pool_.threads(), ceilings_.read_gb, ceilings_.int8_gops, ceilings_.f32_gops,
        ceilings_.bf16_gops);
    for (size_t i = 0; i < lines_.size(); ++i) {
      const Line& l = lines_[i];
      std::printf(
          "%s{\"name\": \"%s\", \"seconds\": %.9f, \"gb_per_s\": %.3f, \"gop_per_s\": %.3f, \"of\": \"%s\", \"share\": "
          "%.4f}",
          i ? ", " : "", l.name.c_str(), l.seconds, l.gb_per_s, l.gop_per_s, l.ceiling, l.of_ceiling);
    }
    std::printf("]}\n");
  }

 private:
  static const char* label(DType dtype) {
    switch (dtype) {
      case DType::kQ8_0: return "q8";
      case DType::kQ4_0: return "q4";
      case DType::kQ4_K: return "q4k";
      case DType::kQ5_K: return "q5k";
      case DType::kQ6_K: return "q6k";
      case DType::kQ4_1: return "q4_1";
      case DType::kQ5_0: return "q5_0";
      case DType::kQ5_1: return "q5_1";
      case DType::kIQ4_NL: return "iq4nl";
      case DType::kIQ4_XS: return "iq4xs";
      case DType::kBF16: return "bf16";
      default: return "f32";
    }
  }

  void run_once(const std::function<void(Context&)>& f) {
    Context ctx{.pool = pool_, .kernels = best_kernels(), .arena = arena_, .compute = ComputeType::kBF16};
    ArenaScope scope(arena_);
    f(ctx);
  }

  // The best of `repeat` measurements; each runs f until it has taken long enough to be timed.
  void add(const std::string& name, int64_t rows, int64_t bytes, int64_t operations, DType dtype,
           const std::function<void(Context&)>& f) {
    run_once(f);
    double best = INFINITY;
    for (int turn = 0; turn < repeat_; ++turn) {
      const double start = now_seconds();
      int64_t runs = 0;
      do run_once(f), ++runs;
      while (now_seconds() - start < kShortest);
      best = std::min(best, (now_seconds() - start) / static_cast<double>(runs));
    }
    Line line{name, best, static_cast<double>(bytes) / best / 1e9, static_cast<double>(operations) / best / 1e9};
    const double peak = has_codes(dtype)                                   ? ceilings_.int8_gops
                        : dtype == DType::kBF16 && ceilings_.bf16_gops > 0 ? ceilings_.bf16_gops
                                                                           : ceilings_.f32_gops;
    line.ceiling = rows == 1                                          ? "read bandwidth"
                   : has_codes(dtype)                                 ? "int8 peak"
                   : dtype == DType::kBF16 && ceilings_.bf16_gops > 0 ? "bf16 peak"
                                                                      : "f32 peak";
    const double most = rows == 1 ? ceilings_.read_gb : peak;
    line.of_ceiling = most > 0 ? (rows == 1 ? line.gb_per_s : line.gop_per_s) / most : 0;
    lines_.push_back(line);
    std::fprintf(stderr, "%s\n", name.c_str());
  }

  ThreadPool pool_;
  Arena arena_;
  int repeat_;
  Ceilings ceilings_;
  std::vector<Line> lines_;
};

int run(int threads, int repeat, const std::string& only, bool json) {
  const auto wanted = [&only](const std::string& word) {
    return only.empty() || ("," + only + ",").find("," + word + ",") != std::string::npos;
  };
  KernelBench bench(threads, repeat);
  bench.measure_ceilings();
  const bool rows = ("," + only + ",").find(",rows,") != std::string::npos;
  for (const DType dtype : {DType::kQ4_0, DType::kQ4_1, DType::kQ5_0, DType::kQ5_1, DType::kQ4_K, DType::kQ5_K,
                            DType::kQ6_K, DType::kIQ4_NL, DType::kIQ4_XS, DType::kQ8_0, DType::kBF16}) {
    if (wanted("matmul")) bench.matmuls(dtype);
    if (rows) bench.few_rows(dtype);
    if (wanted("sparse")) bench.sparse(dtype);
    if (is_file_type(dtype)) continue;
    if (wanted("attention") && dtype != DType::kQ4_0) bench.attention_at(dtype);
  }
  json ? bench.print_json() : bench.print();
  return 0;
}

}  // namespace
}  // namespace g3n::bench

int main(int argc, char** argv) {
  int threads = 0, repeat = 5;
  std::string only;
  bool json = false;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i], next = i + 1 < argc ? argv[i + 1] : "";
    if (word == "--json")
      json = true;
    else if (word == "--threads" && std::atoi(next.c_str()) > 0)
      threads = std::atoi(next.c_str()), ++i;
    else if (word == "--repeat" && std::atoi(next.c_str()) > 0)
      repeat = std::atoi(next.c_str()), ++i;
    else if (word == "--only" && !next.empty())
      only = next, ++i;
    else
      return std::fputs(
                 "usage: bench_kernels [--threads N] [--repeat N] [--only ceilings|matmul|rows|sparse|attention,...] "
                 "[--json]\n",
                 stderr),
             2;
  }
  try {
    return g3n::bench::run(threads, repeat, only, json);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "bench_kernels: %s\n", error.what());
    return 1;
  }
}

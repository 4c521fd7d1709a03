// Packing to q8 and q4: every block in its place in every layout, padding that counts for nothing, GGUF blocks bit for
// bit, values that cannot be kept.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "core/arena.h"
#include "core/rng.h"
#include "g3n/error.h"
#include "kernels/pack.h"
#include "kernels/quant/q4.h"
#include "kernels/quant/q8.h"

namespace g3n::testing {
namespace {

constexpr Layout kLayouts[] = {Layout::kPanels, Layout::kRows, Layout::kNeurons};
constexpr DType kTypes[] = {DType::kQ8_0, DType::kQ4_0};

std::vector<float> values(int64_t count, uint64_t seed) {
  std::vector<float> out(static_cast<size_t>(count));
  for (size_t i = 0; i < out.size(); ++i)
    out[i] = static_cast<float>(static_cast<int>(mix64(seed * 1000003 + i) % 4001) - 2000) / 256.0f;  // |x| < 8
  return out;
}

// A matrix packed into memory that was full of ones before.
struct Packed {
  Buffer<std::byte> bytes;
  WeightView view;
  Packed(const PackSource& source, DType dtype, Layout layout, int64_t rows, int64_t cols)
      : bytes(packed_bytes(dtype, layout, rows, cols)),
        view{.dtype = dtype,
             .layout = layout,
             .rows = rows,
             .cols = cols,
             .step_bytes = packed_step_bytes(dtype, layout, rows, cols),
             .data = bytes.data()} {
    std::memset(bytes.data(), 0xff, static_cast<size_t>(bytes.size()));
    ThreadPool pool(2);
    pack_weight(pool, source, view, bytes.data());
  }
};

PackSource source_of(const std::vector<float>& x) {
  return {DType::kF32, reinterpret_cast<const std::byte*>(x.data())};
}

// Where the code of (row, col) lies, from the words of core/weight.h; of q4 the half byte that counts is given, too.
struct CodeAt {
  int64_t byte;
  bool high;
};
CodeAt code_at(const WeightView& w, int64_t row, int64_t col) {
  const bool q4 = w.dtype == DType::kQ4_0;
  if (w.layout == Layout::kPanels) {
    const int64_t block = col / 32, i = col % 32,
                  pair = w.step_bytes * (row / 16) + block / 2 * (64 + (q4 ? 512 : 1024)),
                  codes = pair + 64 + block % 2 * (q4 ? 256 : 512);
    return q4 ? CodeAt{codes + i / 8 * 64 + row % 16 * 4 + i % 4, i % 8 >= 4}
              : CodeAt{codes + i / 4 * 64 + row % 16 * 4 + i % 4, false};
  }
  const bool rows = w.layout == Layout::kRows;
  const int64_t along = rows ? col : row;
  const int64_t begin = rows ? row * w.step_bytes
                             : col / 32 * w.step_bytes + round_up(w.rows, 128) * 2 +
                                   col % 32 * code_bytes(w.dtype, round_up(w.rows, 128));
  return q4 ? CodeAt{begin + along / 64 * 32 + along % 32, along % 64 >= 32} : CodeAt{begin + along, false};
}
int64_t scale_at(const WeightView& w, int64_t row, int64_t block) {
  const bool q4 = w.dtype == DType::kQ4_0;
  switch (w.layout) {
    case Layout::kPanels:
      return w.step_bytes * (row / 16) + block / 2 * (64 + (q4 ? 512 : 1024)) + block % 2 * 32 + row % 16 * 2;
    case Layout::kRows: return row * w.step_bytes + code_bytes(w.dtype, round_up(w.cols, 64)) + block * 2;
    default: return block * w.step_bytes + row * 2;
  }
}

struct Block {
  uint16_t scale = 0;
  int8_t codes[32] = {};
};
Block encoded(DType dtype, const std::vector<float>& x, int64_t cols, int64_t row, int64_t block) {
  float in[32] = {};
  for (int64_t i = 0; i < std::min<int64_t>(32, cols - block * 32); ++i)
    in[i] = x[static_cast<size_t>(row * cols + block * 32 + i)];
  Block b;
  dtype == DType::kQ8_0 ? quant::encode_q8(in, b.scale, b.codes) : quant::encode_q4(in, b.scale, b.codes);
  return b;
}

int code_of(const Packed& p, int64_t row, int64_t col) {
  const CodeAt at = code_at(p.view, row, col);
  const int byte = static_cast<int>(p.bytes.data()[at.byte]);
  if (p.view.dtype == DType::kQ4_0) return (at.high ? byte >> 4 : byte & 15) - 8;
  return p.view.layout == Layout::kPanels ? byte - 128 : static_cast<int8_t>(byte);
}
uint16_t scale_of(const Packed& p, int64_t row, int64_t block) {
  uint16_t scale;
  std::memcpy(&scale, p.bytes.data() + scale_at(p.view, row, block), 2);
  return scale;
}

TEST(PackQuantized, EveryBlockIsWhereTheHeaderSaysAndPaddingIsZero) {
  for (const DType dtype : kTypes)
    for (const Layout layout : kLayouts)
      for (const int64_t rows : {1, 15, 16, 33, 130})
        for (const int64_t cols : {1, 31, 32, 33, 64, 65, 129, 200}) {
          SCOPED_TRACE(std::string(dtype_name(dtype)) + ", layout " + std::to_string(static_cast<int>(layout)) + ", " +
                       std::to_string(rows) + " x " + std::to_string(cols));
          const std::vector<float> x = values(rows * cols, 1);
          const Packed p(source_of(x), dtype, layout, rows, cols);
          const bool neurons = layout == Layout::kNeurons;
          const int64_t all_rows = layout == Layout::kRows ? rows : round_up(rows, neurons ? 128 : 16),
                        all_cols = round_up(cols, neurons ? 32 : 64);
          int64_t wrong = 0;
          for (int64_t r = 0; r < all_rows; ++r)
            for (int64_t b = 0; b < all_cols / 32; ++b) {
              const Block want = r < rows && b * 32 < cols ? encoded(dtype, x, cols, r, b) : Block{};
              wrong += scale_of(p, r, b) != want.scale;
              for (int64_t i = 0; i < 32; ++i) {
                wrong += code_of(p, r, b * 32 + i) != want.codes[i];
                if (r < rows && b * 32 + i < cols)
                  wrong +=
                      weight_value(p.view, r, b * 32 + i) != f16_to_f32(want.scale) * static_cast<float>(want.codes[i]);
              }
            }
          ASSERT_EQ(wrong, 0);
        }
}

TEST(PackQuantized, EverySourceTypeGivesTheSame) {
  const int64_t rows = 37, cols = 145;
  std::vector<float> x = values(rows * cols, 2);
  for (float& v : x) v = bf16_to_f32(f32_to_bf16(v));                    // 8 bits, exponents within f16's
  std::vector<std::byte> bf16(x.size() * 2 + 1), f16(x.size() * 2 + 1);  // not aligned: old files are not
  for (size_t i = 0; i < x.size(); ++i) {
    const uint16_t b = f32_to_bf16(x[i]), h = f32_to_f16(x[i]);
    std::memcpy(&bf16[i * 2 + 1], &b, 2);
    std::memcpy(&f16[i * 2 + 1], &h, 2);
  }
  for (const DType dtype : kTypes)
    for (const Layout layout : kLayouts) {
      const Packed want(source_of(x), dtype, layout, rows, cols),
          a({DType::kBF16, bf16.data() + 1}, dtype, layout, rows, cols),
          b({DType::kF16, f16.data() + 1}, dtype, layout, rows, cols);
      EXPECT_EQ(std::memcmp(want.bytes.data(), a.bytes.data(), static_cast<size_t>(want.bytes.size())), 0);
      EXPECT_EQ(std::memcmp(want.bytes.data(), b.bytes.data(), static_cast<size_t>(want.bytes.size())), 0);
    }
}

// Blocks as a GGUF file has them: f16 scale (of either sign, denormal, too), then codes.
TEST(PackQuantized, BlocksOfAFileMoveBitForBit) {
  const int64_t rows = 131, cols = 224;
  for (const DType dtype : kTypes) {
    std::vector<std::byte> file(static_cast<size_t>(rows * dtype_bytes(dtype, cols)));
    for (size_t i = 0; i < file.size(); ++i) file[i] = static_cast<std::byte>(mix64(i + 77));
    const int64_t blocks = rows * cols / 32, block_bytes = dtype_bytes(dtype);
    for (int64_t b = 0; b < blocks; ++b)
      file[static_cast<size_t>(b * block_bytes + 1)] &= std::byte{0xbf};  // exponent below 16: finite
    for (const Layout layout : kLayouts) {
      const Packed p({dtype, file.data()}, dtype, layout, rows, cols);
      int64_t wrong = 0;
      for (int64_t b = 0; b < blocks; ++b) {
        const std::byte* at = file.data() + b * block_bytes;
        uint16_t scale;
        std::memcpy(&scale, at, 2);
        wrong += scale_of(p, b / (cols / 32), b % (cols / 32)) != scale;
        for (int i = 0; i < 32; ++i) {
          const int code = dtype == DType::kQ8_0
                               ? static_cast<int8_t>(at[2 + i])
                               : static_cast<int>(i < 16 ? at[2 + i] & std::byte{15} : at[2 + i - 16] >> 4) - 8;
          wrong += code_of(p, b / (cols / 32), b % (cols / 32) * 32 + i) != code;
        }
      }
      EXPECT_EQ(wrong, 0) << dtype_name(dtype) << ", layout " << static_cast<int>(layout);
    }
    file[static_cast<size_t>(300 * block_bytes)] = std::byte{0};
    file[static_cast<size_t>(300 * block_bytes + 1)] = std::byte{0x7c};  // infinite: block 6 of row 42
    for (const Layout layout : kLayouts) EXPECT_THROW(Packed({dtype, file.data()}, dtype, layout, rows, cols), Error);
  }
}

// The lowest row, and its first block, whichever is found first; rows are counted in the whole tensor.
TEST(PackQuantized, TheFirstRowThatCannotBeKeptIsNamed) {
  const int64_t rows = 80, cols = 96;
  std::vector<float> x = values(rows * cols, 3);
  x[50 * cols + 1] = x[5 * cols + 40] = x[5 * cols + 80] = NAN;
  for (const int threads : {1, 3})
    for (const DType dtype : kTypes)
      for (const Layout layout : kLayouts) {
        ThreadPool pool(threads);
        PackSource source = source_of(x);
        source.first_row = 1000;
        const WeightView view{dtype, layout, rows, cols, packed_step_bytes(dtype, layout, rows, cols), nullptr};
        Buffer<std::byte> out(packed_bytes(dtype, layout, rows, cols));
        try {
          pack_weight(pool, source, view, out.data());
          ADD_FAILURE() << "expected an error";
        } catch (const Error& e) {
          EXPECT_NE(std::string(e.what()).find("row 1005, block 1:"), std::string::npos) << e.what();
        }
      }
}

TEST(PackQuantized, WhatCannotBeKeptIsNamed) {
  const int64_t rows = 20, cols = 96;
  for (const DType dtype : kTypes)
    for (const Layout layout : kLayouts)
      for (const float bad : {NAN, INFINITY, -INFINITY, 3e38f, 1e7f}) {  // the last two: the scale is beyond f16
        std::vector<float> x = values(rows * cols, 3);
        x[17 * cols + 70] = bad;
        try {
          Packed(source_of(x), dtype, layout, rows, cols);
          ADD_FAILURE() << dtype_name(dtype) << " took " << bad;
        } catch (const Error& e) {
          EXPECT_EQ(e.code(), ErrorCode::kBadFile);
          EXPECT_NE(std::string(e.what()).find("row 17, block 2"), std::string::npos) << e.what();
        }
      }
}

// The codes are the nearest, and q4's scale is no worse than the plain one of Q4_0.
TEST(PackQuantized, ValuesAreNear) {
  const std::vector<float> x = values(64 * 32, 4);
  for (int64_t b = 0; b < 64; ++b) {
    const Block q8 = encoded(DType::kQ8_0, x, 32, b, 0), q4 = encoded(DType::kQ4_0, x, 32, b, 0);
    const float* in = &x[static_cast<size_t>(b * 32)];
    float most = 0;
    for (int i = 0; i < 32; ++i) most = std::fabs(in[i]) > std::fabs(most) ? in[i] : most;
    double error = 0, plain_error = 0;
    const float plain = f16_to_f32(f32_to_f16(most / -8.0f));
    for (int i = 0; i < 32; ++i) {
      // Half a step of the scale before rounding, and what rounding the scale to f16 (2^-11) moves a code of 127.
      EXPECT_LE(std::fabs(f16_to_f32(q8.scale) * static_cast<float>(q8.codes[i]) - in[i]),
                std::fabs(most) / 127.0f * (0.5f + 127.0f / 2048.0f) * 1.0001f);
      error += std::pow(f16_to_f32(q4.scale) * static_cast<float>(q4.codes[i]) - in[i], 2.0);
      plain_error += std::pow(plain * std::fmin(std::fmax(std::nearbyint(in[i] / plain), -8.0f), 7.0f) - in[i], 2.0);
      EXPECT_TRUE(q4.codes[i] >= -8 && q4.codes[i] <= 7);
    }
    EXPECT_LE(error, plain_error * 1.0001);
  }
}

TEST(PackQuantized, ZerosAndTinyValuesAreZeros) {
  for (const float tiny : {0.0f, -0.0f, 1e-42f, 1e-30f})
    for (const DType dtype : kTypes) {
      const Block b = encoded(dtype, std::vector<float>(32, tiny), 32, 0, 0);
      for (int i = 0; i < 32; ++i) EXPECT_EQ(f16_to_f32(b.scale) * static_cast<float>(b.codes[i]), 0.0f) << tiny;
    }
}

}  // namespace
}  // namespace g3n::testing

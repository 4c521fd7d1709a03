// Packing of types that come from files only: every bit in the place that core/weight.h says, back to the bytes of
// the file, values bit for bit, padding zero, scales that are not finite.
#include <gtest/gtest.h>

#include <cmath>

#include "g3n/error.h"
#include "kernels/quant/gguf_blocks.h"
#include "kernels/table_cases.h"

namespace g3n::test {
namespace {

// A block of a row, as numbers.
struct Unpacked {
  uint16_t d = 0, dmin = 0;
  float d32 = 0;
  int scales[16], minima[8], codes[256];
};
bool is_small(DType dtype) { return dtype_facts(dtype).block_values == 32; }
int high_bits(DType dtype) {
  return dtype == DType::kQ6_K ? 2 : dtype == DType::kQ5_K || dtype == DType::kQ5_0 || dtype == DType::kQ5_1 ? 1 : 0;
}
Unpacked unpack(const WeightView& w, const std::byte* data, int64_t row, int64_t super_block) {
  const int high = high_bits(w.dtype);
  const bool nl = is_small(w.dtype), pair_minima = w.dtype == DType::kQ4_1 || w.dtype == DType::kQ5_1;
  const int64_t block_bytes = 64 * (4 + high), lane = row % 16, head = w.dtype == DType::kIQ4_XS ? 192 : 320,
                pair_head = pair_minima ? 128 : 64;
  const std::byte* at = data + row / 16 * w.step_bytes +
                        (nl ? super_block / 2 * (pair_head + 2 * block_bytes) : super_block * (head + 8 * block_bytes));
  const auto byte = [&](int64_t i) { return static_cast<int>(at[i]); };
  Unpacked u{};
  const int64_t scales = nl ? super_block % 2 * (pair_head / 2) : 0;
  std::memcpy(&u.d, at + 2 * lane + scales, 2);
  std::memcpy(&u.dmin, at + 32 + 2 * lane + (pair_minima ? scales : 0), 2);
  std::memcpy(&u.d32, at + 4 * lane, 4);
  const bool narrow = w.dtype == DType::kQ4_K || w.dtype == DType::kQ5_K;
  for (int j = 0; j < (high == 2 ? 16 : 8) && !nl; ++j) u.scales[j] = byte(64 + (narrow ? 32 : 16) * j + lane);
  for (int j = 0; j < 8 && narrow; ++j) u.minima[j] = byte(64 + 32 * j + 16 + lane);
  for (int i = 0; i < (nl ? 32 : 256); ++i) {
    const int64_t codes = nl ? pair_head + super_block % 2 * block_bytes : head + i / 32 * block_bytes;
    const int half_line = i % 32 / 4;
    const int64_t place = 4 * lane + i % 4;
    int code = byte(codes + half_line / 2 * 64 + place) >> (half_line % 2 * 4) & 15;
    if (high == 1) code |= (byte(codes + 256 + place) >> half_line & 1) << 4;
    if (high == 2) code |= (byte(codes + 256 + half_line / 4 * 64 + place) >> (half_line % 4 * 2) & 3) << 4;
    u.codes[i] = code;
  }
  return u;
}

// The same from neurons.
Unpacked unpack_neurons(const WeightView& w, const std::byte* data, int64_t row, int64_t super_block) {
  const bool nl = is_small(w.dtype), xs = w.dtype == DType::kIQ4_XS, q6k = w.dtype == DType::kQ6_K,
             pair_minima = w.dtype == DType::kQ4_1 || w.dtype == DType::kQ5_1;
  const int high = high_bits(w.dtype);
  const int64_t outputs = round_up(w.rows, 128),
                head = outputs * (nl          ? 0
                                  : q6k || xs ? 2
                                              : 4),
                planes = outputs * (xs            ? 1
                                    : pair_minima ? 4
                                                  : 2),
                group_bytes = planes + 32 * (outputs / 2 + outputs * high / 8);
  const std::byte* at = data + super_block * w.step_bytes;
  EXPECT_EQ(w.step_bytes, head + (nl ? 1 : 8) * group_bytes);
  const auto byte = [&](int64_t i) { return static_cast<int>(at[i]); };
  Unpacked u{};
  std::memcpy(&u.d, at + 2 * row, 2);
  if (pair_minima || (!nl && !q6k && !xs)) std::memcpy(&u.dmin, at + 2 * outputs + 2 * row, 2);
  u.d32 = f16_to_f32(u.d);
  for (int g = 0; g < (nl ? 1 : 8); ++g) {
    const int64_t group = head + g * group_bytes, codes = group + planes, more = codes + 16 * outputs;
    if (q6k)
      for (int half = 0; half < 2; ++half) u.scales[2 * g + half] = byte(group + half * outputs + row);
    else if (!nl)
      u.scales[g] = byte(group + row);
    if (!nl && !q6k && !xs) u.minima[g] = byte(group + outputs + row);
    for (int64_t n = 0; n < 32; ++n) {
      int code = byte(codes + n * outputs / 2 + row / 64 * 32 + row % 32) >> (row % 64 / 32 * 4) & 15;
      if (high == 1) code |= (byte(more + n * outputs / 8 + row / 128 * 16 + row % 16) >> (row % 128 / 16) & 1) << 4;
      if (high == 2) code |= (byte(more + n * outputs / 4 + row / 64 * 16 + row % 16) >> (row % 64 / 16 * 2) & 3) << 4;
      u.codes[32 * g + n] = code;
    }
  }
  return u;
}

// The bytes of a file for it.
std::vector<std::byte> to_file(DType dtype, const Unpacked& u) {
  std::vector<uint8_t> b(static_cast<size_t>(dtype_bytes(dtype)), 0);
  if (dtype == DType::kQ6_K) {
    const uint16_t d = f32_to_f16(u.d32);
    std::memcpy(&b[208], &d, 2);
    for (size_t j = 0; j < 16; ++j) b[192 + j] = static_cast<uint8_t>(u.scales[j]);
    for (size_t i = 0; i < 256; ++i) {
      const size_t n = i / 128, k = i % 128 / 32, l = i % 32;
      b[64 * n + 32 * (k % 2) + l] |= static_cast<uint8_t>((u.codes[i] & 15) << (k / 2 * 4));
      b[128 + 32 * n + l] |= static_cast<uint8_t>(u.codes[i] >> 4 << (2 * k));
    }
  } else if (is_small(dtype)) {
    const bool minimum = dtype == DType::kQ4_1 || dtype == DType::kQ5_1;
    const uint16_t m = u.dmin ^ 0x8000;  // kept with its sign turned
    uint32_t fifth = 0;
    for (size_t i = 0; i < 32; ++i) fifth |= static_cast<uint32_t>(u.codes[i] >> 4) << i;
    std::memcpy(&b[0], &u.d, 2);
    if (minimum) std::memcpy(&b[2], &m, 2);
    if (high_bits(dtype) == 1) std::memcpy(&b[minimum ? 4 : 2], &fifth, 4);
    for (size_t i = 0; i < 32; ++i)
      b[b.size() - 16 + i % 16] |= static_cast<uint8_t>((u.codes[i] & 15) << (i / 16 * 4));
  } else if (dtype == DType::kIQ4_XS) {
    const uint16_t d = f32_to_f16(u.d32);
    std::memcpy(&b[0], &d, 2);
    for (size_t j = 0; j < 8; ++j) {
      const int scale = static_cast<int8_t>(u.scales[j]) + 32;
      b[4 + j / 2] |= static_cast<uint8_t>((scale & 15) << (j % 2 * 4));
      b[2 + j / 4] |= static_cast<uint8_t>((scale >> 4 & 3) << (j % 4 * 2));
    }
    for (size_t i = 0; i < 256; ++i)
      b[8 + i / 32 * 16 + i % 16] |= static_cast<uint8_t>(u.codes[i] << (i % 32 / 16 * 4));
  } else {
    std::memcpy(&b[0], &u.d, 2);
    std::memcpy(&b[2], &u.dmin, 2);
    uint8_t* s = &b[4];
    for (int j = 0; j < 4; ++j) {
      s[j] = static_cast<uint8_t>(u.scales[j] | u.scales[j + 4] >> 4 << 6);
      s[j + 4] = static_cast<uint8_t>(u.minima[j] | u.minima[j + 4] >> 4 << 6);
      s[j + 8] = static_cast<uint8_t>((u.scales[j + 4] & 15) | (u.minima[j + 4] & 15) << 4);
    }
    const size_t nibbles = dtype == DType::kQ5_K ? 48 : 16;
    for (size_t i = 0; i < 256; ++i) {
      b[nibbles + i / 64 * 32 + i % 32] |= static_cast<uint8_t>((u.codes[i] & 15) << (i / 32 % 2 * 4));
      if (dtype == DType::kQ5_K) b[16 + i % 32] |= static_cast<uint8_t>(u.codes[i] >> 4 << (i / 32));
    }
  }
  std::vector<std::byte> out(b.size());
  std::memcpy(out.data(), b.data(), b.size());
  return out;
}

TEST(PackSuperBlocks, PanelsTurnBackIntoTheFile) {
  for (const DType dtype : kFileTypes)
    for (const int64_t rows : {1, 15, 16, 33})
      for (const int64_t cols : {96, 256, 1280}) {
        if (cols % dtype_facts(dtype).block_values != 0) continue;
        const FileWeight w(dtype, rows, cols, 5);
        std::vector<std::byte> file;
        for (int64_t r = 0; r < rows; ++r)
          for (int64_t g = 0; g < cols / dtype_facts(dtype).block_values; ++g) {
            const std::vector<std::byte> block = to_file(dtype, unpack(w.view, w.memory.data(), r, g));
            file.insert(file.end(), block.begin(), block.end());
          }
        EXPECT_EQ(file, w.blocks) << dtype_name(dtype) << ", " << rows << " x " << cols;
        for (int64_t r = rows; r < round_up(rows, 16); ++r)
          for (int64_t c = 0; c < cols; ++c) ASSERT_EQ(weight_value(w.view, r, c), 0.0f) << "padding";
      }
}

TEST(PackSuperBlocks, NeuronsTurnBackIntoTheFile) {
  for (const DType dtype : kFileTypes)
    for (const int64_t rows : {1, 31, 64, 100, 128, 200, 300})
      for (const int64_t cols : {96, 256, 768}) {
        if (cols % dtype_facts(dtype).block_values != 0) continue;
        const FileWeight w(dtype, rows, cols, 5, Layout::kNeurons);
        std::vector<std::byte> file;
        for (int64_t r = 0; r < rows; ++r)
          for (int64_t g = 0; g < cols / dtype_facts(dtype).block_values; ++g) {
            const std::vector<std::byte> block = to_file(dtype, unpack_neurons(w.view, w.memory.data(), r, g));
            file.insert(file.end(), block.begin(), block.end());
          }
        EXPECT_EQ(file, w.blocks) << dtype_name(dtype) << ", " << rows << " x " << cols;
        for (int64_t r = rows; r < round_up(rows, 128); ++r)
          for (int64_t c = 0; c < cols; ++c) ASSERT_EQ(weight_value(w.view, r, c), 0.0f) << "padding";
      }
}

TEST(PackSuperBlocks, ValuesAreThoseOfTheFileBitForBit) {
  const int64_t rows = 20, cols = 768;
  for (const DType dtype : kFileTypes)
    for (const Layout layout : {Layout::kPanels, Layout::kNeurons, Layout::kBlocks}) {
      const FileWeight w(dtype, rows, cols, 6, layout);
      std::vector<float> want(static_cast<size_t>(rows * cols)), got;
      quant::decode_row(dtype, w.blocks.data(), rows * cols, want.data());
      for (int64_t r = 0; r < rows; ++r)
        for (int64_t c = 0; c < cols; ++c) got.push_back(weight_value(w.view, r, c));
      EXPECT_THAT(got, SameBits(want)) << dtype_name(dtype);
    }
}

TEST(PackSuperBlocks, ThreadsGiveTheSameBytes) {
  for (const DType dtype : kFileTypes)
    for (const Layout layout : {Layout::kPanels, Layout::kNeurons}) {
      const FileWeight w(dtype, 70, 512, 7, layout);
      for (const int threads : {2, 3}) {
        std::vector<std::byte> out(w.memory.size(), std::byte{1});
        ThreadPool pool(threads);
        pack_weight(pool, {dtype, w.blocks.data()}, w.view, out.data());
        EXPECT_EQ(out, w.memory.values());
      }
    }
}

TEST(PackSuperBlocks, WhatCannotBePackedIsNamed) {
  for (const DType dtype : kFileTypes) {
    const int64_t per_row = 512 / dtype_facts(dtype).block_values;
    std::vector<std::byte> blocks = random_blocks(dtype, 20 * per_row, 8);
    blocks[static_cast<size_t>((18 * per_row + 1) * dtype_bytes(dtype) + (dtype == DType::kQ6_K ? 209 : 1))] =
        std::byte{0x7c};
    try {
      FileWeight(dtype, blocks, 20, 512);
      ADD_FAILURE();
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ErrorCode::kBadFile);
      EXPECT_NE(std::string(e.what()).find("row 18, block 1"), std::string::npos) << e.what();
    }
    const FileWeight w(dtype, 16, 256, 9);
    std::vector<std::byte> out(w.memory.size() * 2);
    const std::vector<float> values(16 * 256);
    ThreadPool pool(1);
    const PackSource floats{DType::kF32, reinterpret_cast<const std::byte*>(values.data())};
    EXPECT_THROW(pack_weight(pool, floats, w.view, out.data()), Error);
    WeightView rows = w.view;
    rows.layout = Layout::kRows;
    EXPECT_THROW(pack_weight(pool, {dtype, w.blocks.data()}, rows, out.data()), Error);
  }
}

}  // namespace
}  // namespace g3n::test

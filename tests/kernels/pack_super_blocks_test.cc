// Packing of Q4_K, Q5_K and Q6_K: every bit in the place that core/weight.h says, back to the bytes of the file, values
// bit for bit, padding zero, scales that are not finite.
#include <gtest/gtest.h>

#include <cmath>

#include "g3n/error.h"
#include "kernels/quant/gguf_blocks.h"
#include "kernels/table_cases.h"

namespace g3n::test {
namespace {

// The panels of super-block `col / 256` of a row, as numbers.
struct Unpacked {
  uint16_t d = 0, dmin = 0;
  float d32 = 0;
  int scales[16], minima[8], codes[256];
};
Unpacked unpack(const WeightView& w, const std::byte* data, int64_t row, int64_t super_block) {
  const int high = w.dtype == DType::kQ4_K ? 0 : w.dtype == DType::kQ5_K ? 1 : 2;
  const int64_t block_bytes = 64 * (4 + high), lane = row % 16;
  const std::byte* at = data + row / 16 * w.step_bytes + super_block * (5 * 64 + 8 * block_bytes);
  const auto byte = [&](int64_t i) { return static_cast<int>(at[i]); };
  Unpacked u;
  std::memcpy(&u.d, at + 2 * lane, 2);
  std::memcpy(&u.dmin, at + 32 + 2 * lane, 2);
  std::memcpy(&u.d32, at + 4 * lane, 4);
  for (int j = 0; j < 16; ++j) u.scales[j] = high == 2 ? byte(64 + 16 * j + lane) : j < 8 ? byte(64 + 32 * j + lane) : 0;
  for (int j = 0; j < 8; ++j) u.minima[j] = byte(64 + 32 * j + 16 + lane);
  for (int i = 0; i < 256; ++i) {
    const int64_t codes = 320 + i / 32 * block_bytes;
    const int half_line = i % 32 / 4;
    const int64_t place = 4 * lane + i % 4;
    int code = byte(codes + half_line / 2 * 64 + place) >> (half_line % 2 * 4) & 15;
    if (high == 1) code |= (byte(codes + 256 + place) >> half_line & 1) << 4;
    if (high == 2) code |= (byte(codes + 256 + half_line / 4 * 64 + place) >> (half_line % 4 * 2) & 3) << 4;
    u.codes[i] = code;
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
  for (const DType dtype : kKTypes)
    for (const int64_t rows : {1, 15, 16, 33})
      for (const int64_t cols : {256, 1280}) {
        const KWeight w(dtype, rows, cols, 5);
        std::vector<std::byte> file;
        for (int64_t r = 0; r < rows; ++r)
          for (int64_t g = 0; g < cols / 256; ++g) {
            const std::vector<std::byte> block = to_file(dtype, unpack(w.view, w.memory.data(), r, g));
            file.insert(file.end(), block.begin(), block.end());
          }
        EXPECT_EQ(file, w.blocks) << dtype_name(dtype) << ", " << rows << " x " << cols;
        for (int64_t r = rows; r < round_up(rows, 16); ++r)
          for (int64_t g = 0; g < cols / 256; ++g)
            EXPECT_EQ(to_file(dtype, unpack(w.view, w.memory.data(), r, g)),
                      std::vector<std::byte>(static_cast<size_t>(dtype_bytes(dtype))))
                << "padding";
      }
}

TEST(PackSuperBlocks, ValuesAreThoseOfTheFileBitForBit) {
  const int64_t rows = 20, cols = 768;
  for (const DType dtype : kKTypes) {
    const KWeight w(dtype, rows, cols, 6);
    std::vector<float> want(static_cast<size_t>(rows * cols)), got;
    quant::decode_row(dtype, w.blocks.data(), rows * cols, want.data());
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t c = 0; c < cols; ++c) got.push_back(weight_value(w.view, r, c));
    EXPECT_THAT(got, SameBits(want)) << dtype_name(dtype);
  }
}

TEST(PackSuperBlocks, ThreadsGiveTheSameBytes) {
  for (const DType dtype : kKTypes) {
    const KWeight w(dtype, 70, 512, 7);
    for (const int threads : {2, 3}) {
      std::vector<std::byte> out(w.memory.size(), std::byte{1});
      ThreadPool pool(threads);
      pack_weight(pool, {dtype, w.blocks.data()}, w.view, out.data());
      EXPECT_EQ(out, w.memory.values());
    }
  }
}

TEST(PackSuperBlocks, WhatCannotBePackedIsNamed) {
  for (const DType dtype : kKTypes) {
    std::vector<std::byte> blocks = random_super_blocks(dtype, 20 * 2, 8);
    blocks[static_cast<size_t>(37 * dtype_bytes(dtype) + (dtype == DType::kQ6_K ? 209 : 1))] = std::byte{0x7c};
    try {
      KWeight(dtype, blocks, 20, 512);
      ADD_FAILURE();
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ErrorCode::kBadFile);
      EXPECT_NE(std::string(e.what()).find("row 18, block 1"), std::string::npos) << e.what();
    }
    const KWeight w(dtype, 16, 256, 9);
    std::vector<std::byte> out(w.memory.size());
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

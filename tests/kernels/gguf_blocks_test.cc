// Every block format against the values that GGUF's own decoders give for the same bytes: goldens of
// tests/golden/data/gguf/blocks.safetensors.
#include "kernels/quant/gguf_blocks.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "core/arena.h"
#include "core/thread_pool.h"
#include "formats/safetensors_source.h"
#include "g3n/error.h"
#include "kernels/pack.h"
#include "support/source_path.h"

namespace g3n::test {
namespace {

TEST(GgufBlocks, AllFormatsGiveTheGoldenBits) {
  const auto source = open_safetensors_file(source_path("tests/golden/data/gguf/blocks.safetensors"));
  int formats = 0;
  for (int t = 0; t < kDTypes; ++t) {
    const DType type = static_cast<DType>(t);
    if (!is_block_type(type)) continue;
    const TensorInfo* blocks = source->find(std::string(dtype_name(type)) + ".blocks");
    const TensorInfo* values = source->find(std::string(dtype_name(type)) + ".values");
    ASSERT_TRUE(blocks && values) << dtype_name(type);
    const int64_t n = values->bytes / 4;
    ASSERT_EQ(blocks->bytes, dtype_bytes(type, n)) << dtype_name(type);
    std::vector<std::byte> shifted(static_cast<size_t>(blocks->bytes) + 1);  // at an odd address
    std::memcpy(shifted.data() + 1, blocks->data, static_cast<size_t>(blocks->bytes));
    std::vector<float> got(static_cast<size_t>(n));
    quant::decode_row(type, shifted.data() + 1, n, got.data());
    for (int64_t i = 0; i < n; ++i) {
      uint32_t g, w;
      std::memcpy(&g, &got[static_cast<size_t>(i)], 4);
      std::memcpy(&w, values->data + 4 * i, 4);
      ASSERT_EQ(g, w) << dtype_name(type) << " value " << i << ": " << got[static_cast<size_t>(i)];
    }
    ++formats;
  }
  EXPECT_EQ(formats, 26);
}

// In panels: 16 outputs of one block each, and one output of 16 blocks.
TEST(GgufBlocks, PanelsGiveTheGoldenBits) {
  const auto source = open_safetensors_file(source_path("tests/golden/data/gguf/blocks.safetensors"));
  ThreadPool pool(1);
  for (const DType type : {DType::kQ4_K, DType::kQ5_K, DType::kQ6_K, DType::kIQ4_NL, DType::kIQ4_XS}) {
    const TensorInfo* blocks = source->find(std::string(dtype_name(type)) + ".blocks");
    const TensorInfo* values = source->find(std::string(dtype_name(type)) + ".values");
    ASSERT_EQ(values->bytes, 16 * 4 * dtype_facts(type).block_values);
    for (const int64_t rows : {16, 1}) {
      const int64_t cols = 16 * dtype_facts(type).block_values / rows;
      Buffer<std::byte> packed(packed_bytes(type, Layout::kPanels, rows, cols));
      const WeightView view{
          type, Layout::kPanels, rows, cols, packed_step_bytes(type, Layout::kPanels, rows, cols), packed.data()};
      pack_weight(pool, {type, blocks->data}, view, packed.data());
      for (int64_t i = 0; i < rows * cols; ++i) {
        const float got = weight_value(view, i / cols, i % cols);
        ASSERT_EQ(std::memcmp(&got, values->data + 4 * i, 4), 0) << dtype_name(type) << " value " << i << ": " << got;
      }
    }
  }
}

// A scale that is not finite leaves no value of its block finite, so the values tell where they are; zeros elsewhere.
TEST(GgufBlocks, BadScalesAreFound) {
  for (int t = 0; t < kDTypes; ++t) {
    const DType type = static_cast<DType>(t);
    if (!is_block_type(type) || type == DType::kNVFP4) continue;  // whose scales are all finite
    const DTypeFacts facts = dtype_facts(type);
    const size_t size = static_cast<size_t>(facts.block_bytes);
    int found = 0;
    for (size_t at = 0; at + 1 < size; ++at)
      for (const uint32_t half : {0x7c00u, 0xfc00u, 0x7e01u, 0x7bffu, 0xff80u, 0xffffu}) {
        if (type == DType::kQ8_K && at == 3)
          continue;  // half of it is a code: a finite scale, and a product beyond f32
        std::vector<std::byte> blocks(3 * size);
        blocks[size + at] = static_cast<std::byte>(half & 255),
                      blocks[size + at + 1] = static_cast<std::byte>(half >> 8);
        std::vector<float> values(static_cast<size_t>(3 * facts.block_values));
        quant::decode_row(type, blocks.data(), 3 * facts.block_values, values.data());
        const float* second = values.data() + facts.block_values;
        const bool bad = type == DType::kMXFP4 ? at == 0 && (half & 255) == 255 : !std::isfinite(second[0]);
        EXPECT_EQ(quant::first_bad_block(type, blocks.data(), 3 * facts.block_values), bad ? 1 : -1)
            << dtype_name(type) << " byte " << at << ": " << half;
        found += bad;
      }
    EXPECT_TRUE(found > 0 || type == DType::kIQ1_M) << dtype_name(type);  // whose scale spans four bytes
  }
  std::vector<std::byte> iq1_m(56);
  iq1_m[55] = std::byte{0x70};  // half of the exponent
  EXPECT_EQ(quant::first_bad_block(DType::kIQ1_M, iq1_m.data(), 256), -1);
  iq1_m[53] = std::byte{0xc0};
  EXPECT_EQ(quant::first_bad_block(DType::kIQ1_M, iq1_m.data(), 256), 0);
  EXPECT_EQ(quant::first_bad_block(DType::kF16, iq1_m.data(), 28), -1);
}

TEST(GgufBlocks, PlainTypes) {
  const std::vector<float> want = {1.5f, -0.0f, 0x1p-24f, -65504.0f};
  const uint16_t f16[4] = {0x3e00, 0x8000, 0x0001, 0xfbff};
  std::vector<float> got(4);
  quant::decode_row(DType::kF32, reinterpret_cast<const std::byte*>(want.data()), 4, got.data());
  EXPECT_EQ(std::memcmp(got.data(), want.data(), 16), 0);
  quant::decode_row(DType::kF16, reinterpret_cast<const std::byte*>(f16), 4, got.data());
  EXPECT_EQ(std::memcmp(got.data(), want.data(), 16), 0);
  std::vector<uint16_t> halves(65536);
  std::vector<float> all(65536), alone(65536);
  for (size_t i = 0; i < 65536; ++i) halves[i] = static_cast<uint16_t>(i), alone[i] = f16_to_f32(halves[i]);
  quant::decode_row(DType::kF16, reinterpret_cast<const std::byte*>(halves.data()), 65536, all.data());
  EXPECT_EQ(std::memcmp(all.data(), alone.data(), 4 * 65536), 0);
  const uint16_t bf16[4] = {0x3fc0, 0x8000, 0x3380, 0xff80};
  quant::decode_row(DType::kBF16, reinterpret_cast<const std::byte*>(bf16), 3, got.data());
  EXPECT_EQ(std::memcmp(got.data(), want.data(), 12), 0);
  EXPECT_THROW(quant::row_decoder(DType::kI8), Error);
}

}  // namespace
}  // namespace g3n::test

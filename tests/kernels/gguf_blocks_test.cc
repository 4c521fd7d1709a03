// Every block format against the values that GGUF's own decoders give for the same bytes: goldens of tests/golden/data/gguf/blocks.safetensors.
#include "kernels/quant/gguf_blocks.h"

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "formats/tensor_source.h"
#include "g3n/error.h"

namespace g3n::test {
namespace {

TEST(GgufBlocks, AllFormatsGiveTheGoldenBits) {
  const auto source = open_safetensors_file(G3N_SOURCE_DIR "/tests/golden/data/gguf/blocks.safetensors");
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

#include "core/dtype.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace g3n {
namespace {

TEST(DType, Bf16RoundsToNearestEvenForEveryPattern) {
  for (uint32_t high = 0; high < 0x10000; ++high) {
    const float exact = bf16_to_f32(static_cast<bf16_t>(high));
    if (std::isnan(exact)) {
      EXPECT_TRUE(std::isnan(bf16_to_f32(f32_to_bf16(exact))));
      continue;
    }
    ASSERT_EQ(f32_to_bf16(exact), high);
    if (std::isinf(exact)) continue;
    // Half way between two neighbours the even one wins; a little more goes up.
    uint32_t bits = high << 16 | 0x8000;
    float half;
    std::memcpy(&half, &bits, 4);
    ASSERT_EQ(f32_to_bf16(half), high + (high & 1)) << high;
    bits |= 1;
    std::memcpy(&half, &bits, 4);
    ASSERT_EQ(f32_to_bf16(half), high + 1) << high;
  }
}

TEST(DType, F16IsExactForEveryPattern) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const int exponent = bits >> 10 & 0x1f, mantissa = bits & 0x3ff;
    const double sign = bits & 0x8000 ? -1 : 1;
    const float got = f16_to_f32(static_cast<uint16_t>(bits));
    if (exponent == 31) {
      if (mantissa)
        ASSERT_TRUE(std::isnan(got));
      else
        ASSERT_EQ(got, sign * std::numeric_limits<float>::infinity());
    } else {
      const double want =
          exponent ? sign * std::ldexp(1024 + mantissa, exponent - 25) : sign * std::ldexp(mantissa, -24);
      ASSERT_EQ(got, static_cast<float>(want)) << bits;
    }
  }
}

}  // namespace
}  // namespace g3n

// What the codes of IQ4_NL and IQ4_XS stand for. C-only: included by the ISA units (design.md 3.12).
#pragma once
#include <cstdint>

namespace g3n {
namespace {

constexpr int8_t kIq4Values[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
// 128 more, for products of unsigned codes; as bytes.
constexpr int8_t kIq4Unsigned[16] = {1, 24, 45, 63, 79, 93, 106, 118, -127, -115, -103, -90, -75, -59, -39, -15};

}  // namespace
}  // namespace g3n

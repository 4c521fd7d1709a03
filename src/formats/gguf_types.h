// The numbers that GGUF gives to types of values and of tensors; for the reader and the writer alone.
#pragma once
#include <cstdint>
#include <optional>

#include "core/dtype.h"

namespace g3n::gguf {

enum ValueType : uint32_t { kU8, kI8, kU16, kI16, kU32, kI32, kF32, kBool, kText, kArray, kU64, kI64, kF64 };

struct ValueFacts {
  const char* name;  // for messages
  uint32_t bytes;    // 0: has a length of its own
};
inline constexpr ValueFacts kValueFacts[] = {{"u8", 1},  {"i8", 1},  {"u16", 2},  {"i16", 2},      {"u32", 4},
                                             {"i32", 4}, {"f32", 4}, {"bool", 1}, {"a string", 0}, {"an array", 0},
                                             {"u64", 8}, {"i64", 8}, {"f64", 8}};
inline constexpr uint32_t kValueTypes = 13;
static_assert(sizeof(kValueFacts) / sizeof(kValueFacts[0]) == kValueTypes && kF64 + 1 == kValueTypes);

struct TensorType {
  uint32_t number;
  DType dtype;
};
// Missing are the removed, the unknown and those of activations only.
inline constexpr TensorType kTensorTypes[] = {
    {0, DType::kF32},      {1, DType::kF16},    {2, DType::kQ4_0},    {3, DType::kQ4_1},     {6, DType::kQ5_0},
    {7, DType::kQ5_1},     {8, DType::kQ8_0},   {10, DType::kQ2_K},   {11, DType::kQ3_K},    {12, DType::kQ4_K},
    {13, DType::kQ5_K},    {14, DType::kQ6_K},  {15, DType::kQ8_K},   {16, DType::kIQ2_XXS}, {17, DType::kIQ2_XS},
    {18, DType::kIQ3_XXS}, {19, DType::kIQ1_S}, {20, DType::kIQ4_NL}, {21, DType::kIQ3_S},   {22, DType::kIQ2_S},
    {23, DType::kIQ4_XS},  {24, DType::kI8},    {26, DType::kI32},    {27, DType::kI64},     {28, DType::kF64},
    {29, DType::kIQ1_M},   {30, DType::kBF16},  {34, DType::kTQ1_0},  {35, DType::kTQ2_0},   {39, DType::kMXFP4},
    {40, DType::kNVFP4},   {41, DType::kQ1_0},  {42, DType::kQ2_0}};

constexpr std::optional<DType> dtype_of(uint32_t number) {
  for (const TensorType& type : kTensorTypes)
    if (type.number == number) return type.dtype;
  return {};
}
constexpr std::optional<uint32_t> number_of(DType dtype) {
  for (const TensorType& type : kTensorTypes)
    if (type.dtype == dtype) return type.number;
  return {};
}

}  // namespace g3n::gguf

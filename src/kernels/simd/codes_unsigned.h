// Codes that an instruction takes unsigned (VNNI): sums begin at -offset * sum(x). For codes_vnni.h and
// codes_avxvnni.h, on the Isa that each brings: Line, Sums, load_line, all_sums, put, get, join, end. C-only
// (design.md 3.12).
#pragma once
#include "kernels/iq4_values.h"

namespace g3n {
namespace {

template <typename Isa>
struct UnsignedQ4 : Isa {
  static constexpr int kBlockBytes = 256;
  using typename Isa::Line;
  using typename Isa::Sums;
  static inline void unpack(const char* block, int m, Line& a, Line& b) { unpack_nibbles(block, m, a, b); }
  static inline Sums begin(const int32_t* start) { return Isa::all_sums(*start); }
};
// q4k and q5k have no offset.
template <typename Isa>
struct UnsignedQ4K : UnsignedQ4<Isa> {
  static inline typename Isa::Sums begin(const int32_t*) { return Isa::all_sums(0); }
};
template <typename Isa>
struct UnsignedQ5K : UnsignedQ4K<Isa> {
  static constexpr int kBlockBytes = 320;
  using typename Isa::Line;
  static inline void unpack(const char* block, int m, Line& a, Line& b) { unpack_fifth_bits(block, m, a, b); }
};
// The offset of q5_0 is 16, twice that of q4.
template <typename Isa>
struct UnsignedQ50 : UnsignedQ5K<Isa> {
  static inline typename Isa::Sums begin(const int32_t* start) { return Isa::all_sums(*start * 2); }
};
template <typename Isa>
struct UnsignedQ6K : UnsignedQ4<Isa> {
  static constexpr int kBlockBytes = 384;
  using typename Isa::Line;
  static inline void unpack(const char* block, int m, Line& a, Line& b) { unpack_high_pairs(block, m, a, b); }
};
// The offset of q8 is 128, sixteen times that of q4.
template <typename Isa>
struct UnsignedQ8 : Isa {
  static constexpr int kBlockBytes = 512;
  using typename Isa::Line;
  using typename Isa::Sums;
  static inline void unpack(const char* block, int m, Line& a, Line& b) {
    a = Isa::load_line(block + m * 128);
    b = Isa::load_line(block + m * 128 + 64);
  }
  static inline Sums begin(const int32_t* start) { return Isa::all_sums(*start * 16); }
};
// Nibbles are numbers of a table of values (of IQ4_NL and IQ4_XS); then as q8.
template <typename Isa>
struct UnsignedIq4 : UnsignedQ8<Isa> {
  static constexpr int kBlockBytes = 256;
  using typename Isa::Line;
  static inline void unpack(const char* block, int m, Line& a, Line& b) {
    unpack_nibbles(block, m, a, b);
    a = look_up(a, kIq4Unsigned), b = look_up(b, kIq4Unsigned);
  }
};

}  // namespace
}  // namespace g3n

// Codes of q5k and q6k from their nibbles and their lines of high bits (core/weight.h), for the codes_*.h: on
// unpack_nibbles and join_bits of an instruction set. C-only (design.md 3.12).
#pragma once

namespace g3n {
namespace {

// Lines 2m and 2m + 1 of a block, unsigned. join_bits<kLeft, kMask>(w, line): w | (each byte of `line` << kLeft, or
// >> -kLeft) & kMask.
template <typename Line>
inline __attribute__((always_inline)) void unpack_fifth_bits(const char* block, int m, Line& a, Line& b) {
  const char* fifth = block + 256;
  unpack_nibbles(block, m, a, b);
  switch (m) {
    case 0: a = join_bits<4, 16>(a, fifth), b = join_bits<3, 16>(b, fifth); break;
    case 1: a = join_bits<2, 16>(a, fifth), b = join_bits<1, 16>(b, fifth); break;
    case 2: a = join_bits<0, 16>(a, fifth), b = join_bits<-1, 16>(b, fifth); break;
    default: a = join_bits<-2, 16>(a, fifth), b = join_bits<-3, 16>(b, fifth);
  }
}
template <typename Line>
inline __attribute__((always_inline)) void unpack_high_pairs(const char* block, int m, Line& a, Line& b) {
  const char* high = block + 256 + m / 2 * 64;
  unpack_nibbles(block, m, a, b);
  if (m % 2 == 0)
    a = join_bits<4, 48>(a, high), b = join_bits<2, 48>(b, high);
  else
    a = join_bits<0, 48>(a, high), b = join_bits<-2, 48>(b, high);
}

}  // namespace
}  // namespace g3n

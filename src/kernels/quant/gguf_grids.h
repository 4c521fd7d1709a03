// The code books of the IQ1, IQ2 and IQ3 formats: an index of the file names an entry of 4 or 8 values out of a few
// levels.
#pragma once
#include <cstdint>

namespace g3n::quant {

// Value k of an entry: levels[entry >> 2k & 3] for books of 8 values, levels[entry >> 3k & 7] for books of 4.
struct CodeBook {
  const uint16_t* entries;
  int8_t levels[8];
};
extern const CodeBook kIq2Xxs, kIq2Xs, kIq2S;  // 256, 512, 1024 entries of 8
extern const CodeBook kIq3Xxs, kIq3S;          // 256, 512 entries of 4
extern const CodeBook kIq1;                    // 2048 entries of 8; IQ1_S and IQ1_M

}  // namespace g3n::quant

// What the machine has left.
#pragma once
#include <cstdint>

namespace g3n {

// Bytes that can be taken without anything being swapped out (MemAvailable); 0 if it cannot be told.
std::int64_t free_memory();

}  // namespace g3n

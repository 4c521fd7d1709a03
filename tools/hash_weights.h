// The hash rule of tools/goldens/hash_weights.py in C++, bit-equal: the weights of a checkpoint as a function of names
// and shapes, so that goldens at any size need no stored file. FNV-1a of the name, SplitMix64 of the index, scaled by
// name and shape, rounded to bf16.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "core/dtype.h"
#include "core/thread_pool.h"

namespace g3n {

// The rule for one tensor; ple_size is text_config.hidden_size_per_layer_input.
class HashTensor {
 public:
  HashTensor(const std::string& name, const std::vector<int64_t>& shape, int64_t ple_size);
  int64_t count() const { return count_; }
  uint64_t seed() const { return seed_; }
  // Elements first .. first + n, row-major.
  void fill(int64_t first, int64_t n, bf16_t* out) const;

 private:
  uint64_t seed_;
  int64_t count_;
  float offset_, scale_;
};

// The whole tensor, over the threads of the pool.
void fill_hash_tensor(ThreadPool& pool, const HashTensor& tensor, bf16_t* out);

// CRC-32 (zlib's) of bytes.
uint32_t crc32(const void* data, size_t size);

}  // namespace g3n

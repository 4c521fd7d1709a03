// Memory whose end touches a page that must not be touched: a read or write behind the end is a crash, not luck.
#pragma once
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <random>
#include <utility>
#include <vector>

namespace g3n::test {

// n elements; the start is as misaligned as n makes it (elements, not bytes).
template <typename T>
class Guarded {
 public:
  explicit Guarded(size_t n) : size_(n) {
    const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE)), pages = (n * sizeof(T) + page - 1) / page;
    bytes_ = (pages + 2) * page;
    base_ = static_cast<char*>(mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    if (base_ == MAP_FAILED) std::abort();
    mprotect(base_, page, PROT_NONE);
    mprotect(base_ + (pages + 1) * page, page, PROT_NONE);
    data_ = reinterpret_cast<T*>(base_ + (pages + 1) * page - n * sizeof(T));
  }
  Guarded(const std::vector<T>& values) : Guarded(values.size()) {  // NOLINT: implicit on purpose
    if (!values.empty()) std::memcpy(data_, values.data(), values.size() * sizeof(T));
  }
  Guarded(Guarded&& other) noexcept
      : base_(std::exchange(other.base_, nullptr)), bytes_(other.bytes_), data_(other.data_), size_(other.size_) {}
  Guarded& operator=(Guarded&&) = delete;
  ~Guarded() {
    if (base_) munmap(base_, bytes_);
  }
  T* data() { return data_; }
  const T* data() const { return data_; }
  size_t size() const { return size_; }
  T& operator[](size_t i) { return data_[i]; }
  const T& operator[](size_t i) const { return data_[i]; }
  std::vector<T> values() const { return std::vector<T>(data_, data_ + size_); }

 private:
  char* base_;
  size_t bytes_;
  T* data_;
  size_t size_;
};

// Normally distributed values, the same for a seed on every machine but for libm's last bit.
inline std::vector<float> normal(size_t n, uint32_t seed, float scale = 1.0f) {
  std::mt19937 random(seed * 2654435761u + 1);
  std::vector<float> values(n);
  for (float& v : values) {
    float sum = 0;  // of 6 uniforms: near enough, and exact everywhere
    for (int i = 0; i < 6; ++i) sum += static_cast<float>(random() >> 8) * 0x1p-24f;
    v = (sum - 3.0f) * 1.4142135f * scale;
  }
  return values;
}

}  // namespace g3n::test

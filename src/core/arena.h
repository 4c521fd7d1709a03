// Buffer: owned, aligned, move-only memory. Arena: scratch for one step, taken and given back like a stack.
#pragma once
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace g3n {

inline constexpr size_t kAlignment = 64;

void* aligned_bytes(size_t bytes);  // throws Error{kOutOfMemory}
void free_aligned(void* memory) noexcept;

// n elements of T, 64-byte aligned, zeroed.
template <typename T>
class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(int64_t n);
  ~Buffer() { free_aligned(data_); }
  Buffer(Buffer&& other) noexcept : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  Buffer& operator=(Buffer&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  T* data() { return data_; }
  const T* data() const { return data_; }
  int64_t size() const { return size_; }
  T& operator[](int64_t i) { return data_[i]; }
  const T& operator[](int64_t i) const { return data_[i]; }

 private:
  T* data_ = nullptr;
  int64_t size_ = 0;
};

void zero_bytes(void* memory, size_t bytes) noexcept;

template <typename T>
Buffer<T>::Buffer(int64_t n) : data_(static_cast<T*>(aligned_bytes(static_cast<size_t>(n) * sizeof(T)))), size_(n) {
  zero_bytes(data_, static_cast<size_t>(n) * sizeof(T));
}

// Blocks are kept between steps, so that nothing is allocated after the first call. One thread only.
class Arena {
 public:
  Arena() = default;
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;
  ~Arena();

  // Uninitialised, 64-byte aligned; valid until the mark that was current is released.
  void* take(size_t bytes);
  template <typename T>
  T* take(int64_t n) {
    return static_cast<T*>(take(static_cast<size_t>(n) * sizeof(T)));
  }

  struct Mark {
    size_t block, used;
  };
  Mark mark() const { return {block_, used_}; }
  void release(Mark m) { block_ = m.block, used_ = m.used; }
  // Largest sum of live bytes since the last restart_peak.
  size_t peak_bytes() const { return peak_; }
  void restart_peak() { peak_ = 0; }
  // What the system has given, in use or not.
  size_t held_bytes() const;
  // Gives all memory back to the system; only when nothing is taken.
  void trim();

 private:
  struct Block {
    std::byte* data;
    size_t size;
  };
  std::vector<Block> blocks_;
  size_t block_ = 0, used_ = 0, peak_ = 0;
};

// Gives scratch taken during its life back at its end.
class ArenaScope {
 public:
  explicit ArenaScope(Arena& arena) : arena_(arena), mark_(arena.mark()) {}
  ~ArenaScope() { arena_.release(mark_); }
  ArenaScope(const ArenaScope&) = delete;
  ArenaScope& operator=(const ArenaScope&) = delete;

 private:
  Arena& arena_;
  Arena::Mark mark_;
};

}  // namespace g3n

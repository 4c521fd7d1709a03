// Binder: the visitor that every module walks to name its weights: file name, member and shape stated once. The loader
// fills the members; inspect, the packer and random_checkpoint only list names and shapes (no storage).
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "core/view.h"
#include "core/weight.h"

namespace g3n {

using Shape = std::vector<int64_t>;

// Product of the extents from `first` on. Saturates: a config may ask for anything, and is compared with the file
// before memory is taken.
inline int64_t element_count(const Shape& shape, size_t first = 0) {
  int64_t n = 1;
  for (size_t i = first; i < shape.size(); ++i)
    if (__builtin_mul_overflow(n, shape[i], &n)) return INT64_MAX;
  return n;
}

class Binder {
 public:
  virtual ~Binder() = default;

  // A matrix [out, in], packed. shape is the file's: [out, in], [out, in, 1, 1], ...; `in` is the product of all but
  // the first. Convolution kernels [out, in, kh, kw] with kh * kw > 1 are packed with their inputs in the order (kh,
  // kw, in).
  void matrix(const std::string& name, WeightView& member, const Shape& shape, Layout layout = Layout::kPanels) {
    on_matrix(prefix_ + name, member, shape, layout);
  }
  // A small vector or filter bank (norm weights, biases, scales, depthwise filters), kept as f32, row-major as in the
  // file. [channels, 1, kh, kw] depthwise filters are stored transposed, [kh * kw, channels]. optional: a missing
  // tensor leaves a null view.
  void vector(const std::string& name, View<const float, 1>& member, int64_t size) {
    on_vector(prefix_ + name, member, {size}, false);
  }
  void optional_vector(const std::string& name, View<const float, 1>& member, int64_t size) {
    on_vector(prefix_ + name, member, {size}, true);
  }
  void depthwise(const std::string& name, View<const float, 2>& member, const Shape& shape) {
    on_depthwise(prefix_ + name, member, shape);
  }
  // A big table read row by row from the mapped file.
  void table(const std::string& name, TableView& member, const Shape& shape) {
    on_table(prefix_ + name, member, shape);
  }
  // A tensor that checkpoints may hold but nobody reads (dead K and V): no warning when it is there, no error when it
  // is not.
  void ignored(const std::string& name, const Shape& shape) { on_ignored(prefix_ + name, shape); }

  // The file's shape of a tensor, empty if it has none: structure that only the tensors tell (vision blocks). Without a
  // file: empty.
  virtual Shape shape_of(const std::string& name) const = 0;
  bool has(const std::string& name) const { return !shape_of(prefix_ + name).empty(); }
  Shape shape(const std::string& name) const { return shape_of(prefix_ + name); }

  // Names inside the scope get this prefix.
  class Scope {
   public:
    Scope(Binder& binder, const std::string& prefix) : binder_(binder), length_(binder.prefix_.size()) {
      binder.prefix_ += prefix;
    }
    ~Scope() { binder_.prefix_.resize(length_); }
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    Binder& binder_;
    size_t length_;
  };

 protected:
  virtual void on_matrix(const std::string& name, WeightView& member, const Shape& shape, Layout layout) = 0;
  virtual void on_vector(const std::string& name, View<const float, 1>& member, const Shape& shape, bool optional) = 0;
  virtual void on_depthwise(const std::string& name, View<const float, 2>& member, const Shape& shape) = 0;
  virtual void on_table(const std::string& name, TableView& member, const Shape& shape) = 0;
  virtual void on_ignored(const std::string& name, const Shape& shape) = 0;

 private:
  std::string prefix_;
};

}  // namespace g3n

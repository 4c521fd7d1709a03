// ShapeLister: the Binder without storage. Lists what a model binds, from the config alone or with a checkpoint's
// shapes at hand.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "formats/tensor_source.h"
#include "weights/binder.h"
#include "weights/recipe.h"

namespace g3n {

enum class TensorKind { kMatrix, kVector, kDepthwise, kTable, kIgnored };

struct ListedTensor {
  std::string name;  // canonical
  Shape shape;       // of the file
  TensorKind kind;
  Layout layout;  // of matrices
  bool optional;  // may be absent; kIgnored always is
};

class ShapeLister : public Binder {
 public:
  ShapeLister() = default;
  // Shapes that shape_of answers with, by canonical name (tensor_names.h).
  explicit ShapeLister(const std::map<std::string, const TensorInfo*>& tensors) : tensors_(tensors) {}

  // In binding order; a tensor that is bound twice (the tied head) is listed twice.
  const std::vector<ListedTensor>& listed() const { return listed_; }
  // Each name once, sorted, with the shape it has in a file.
  std::map<std::string, Shape> names_and_shapes() const;

  Shape shape_of(const std::string& name) const override;

 protected:
  void on_matrix(const std::string& name, WeightView& member, const Shape& shape, Layout layout) override;
  void on_vector(const std::string& name, View<const float, 1>& member, const Shape& shape, bool optional) override;
  void on_depthwise(const std::string& name, View<const float, 2>& member, const Shape& shape) override;
  void on_table(const std::string& name, TableView& member, const Shape& shape) override;
  void on_ignored(const std::string& name, const Shape& shape) override;

 private:
  std::map<std::string, const TensorInfo*> tensors_;
  std::vector<ListedTensor> listed_;
};

struct BytesNeeded {
  int64_t packed = 0;  // memory of the loaded model
  int64_t mapped = 0;  // tables and blocks that are read where they lie in the file
  int64_t file = 0;    // bytes of the bound tensors in the file, each once
};
// What a Loader takes for the listed tensors of a checkpoint (`tensors`: all of it), or of bf16 ones where there is
// none. No value is read: f16 matrices that a loader would keep as bf16 count as f32. Saturates, never overflows.
BytesNeeded total_bytes_needed(const std::vector<ListedTensor>& listed,
                               const std::map<std::string, const TensorInfo*>& tensors = {}, const Recipe& recipe = {});

}  // namespace g3n

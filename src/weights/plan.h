// PackingPlan: what becomes of each tensor of a checkpoint. The one place that decides formats and layouts: the loader
// asks it while it loads, checks or streams into a bundle, and inspect asks it for the memory that loading takes.
#pragma once
#include <functional>
#include <map>
#include <string>

#include "core/weight.h"
#include "formats/tensor_source.h"
#include "weights/recipe.h"

namespace g3n {

struct Packing {
  DType dtype;
  Layout layout;  // kBlocks: nothing is packed, the weight is read where it lies in the file
};

class PackingPlan {
 public:
  // Are all values of this f16 tensor values of bf16?
  using IsBf16 = std::function<bool(const TensorInfo&)>;

  // parameters: of the whole checkpoint; recipes ease small models.
  PackingPlan(Recipe recipe, int64_t parameters);

  // What a matrix becomes that the model wants in `layout`. f16 has no kernels: it becomes bf16 where that is exact,
  // else f32; without is_bf16 nobody looks at the values, and f32 is an upper bound.
  Packing matrix(const std::string& name, const TensorInfo& tensor, Layout layout, const IsBf16& is_bf16 = {}) const;
  // The type that rows of a table have in a bundle; loading leaves them in the file and rounds what it reads to that
  // type. Throws kUnsupported if the recipe asks for a type that tables cannot have.
  DType table(const std::string& name, const TensorInfo& tensor) const;
  // Is a table copied into memory? Only if it lies in memory whose elements are not aligned.
  static bool copies_table(const TensorInfo& tensor);

 private:
  Recipe recipe_;
  bool small_model_;
};

// Of all tensors; saturates.
int64_t parameter_count(const std::map<std::string, const TensorInfo*>& tensors);

}  // namespace g3n

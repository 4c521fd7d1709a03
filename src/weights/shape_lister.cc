#include "weights/shape_lister.h"

#include <algorithm>
#include <set>

#include "core/weight.h"
#include "weights/plan.h"

namespace g3n {
namespace {

int64_t saturating_product(int64_t a, int64_t b) {
  int64_t out;
  return __builtin_mul_overflow(a, b, &out) ? INT64_MAX : out;
}
void saturating_add(int64_t& sum, int64_t value) {
  if (__builtin_add_overflow(sum, value, &sum)) sum = INT64_MAX;
}
}  // namespace

Shape ShapeLister::shape_of(const std::string& name) const {
  const auto found = tensors_.find(name);
  return found == tensors_.end() ? Shape{} : found->second->shape;
}

std::map<std::string, Shape> ShapeLister::names_and_shapes() const {
  std::map<std::string, Shape> out;
  for (const ListedTensor& tensor : listed_) out.emplace(tensor.name, tensor.shape);
  return out;
}

void ShapeLister::on_matrix(const std::string& name, WeightView& member, const Shape& shape, Layout layout) {
  member = {};
  member.layout = layout;
  member.rows = shape[0];
  member.cols = element_count(shape, 1);
  listed_.push_back({name, shape, TensorKind::kMatrix, layout, false});
}
void ShapeLister::on_vector(const std::string& name, View<const float, 1>& member, const Shape& shape, bool optional) {
  member = {};
  listed_.push_back({name, shape, TensorKind::kVector, Layout::kPanels, optional});
}
void ShapeLister::on_depthwise(const std::string& name, View<const float, 2>& member, const Shape& shape) {
  member = {};
  listed_.push_back({name, shape, TensorKind::kDepthwise, Layout::kPanels, false});
}
void ShapeLister::on_table(const std::string& name, TableView& member, const Shape& shape) {
  member = {};
  member.rows = shape[0];
  member.cols = element_count(shape, 1);
  listed_.push_back({name, shape, TensorKind::kTable, Layout::kPanels, false});
}
void ShapeLister::on_ignored(const std::string& name, const Shape& shape) {
  listed_.push_back({name, shape, TensorKind::kIgnored, Layout::kPanels, true});
}

BytesNeeded total_bytes_needed(const std::vector<ListedTensor>& listed,
                               const std::map<std::string, const TensorInfo*>& tensors, const Recipe& recipe) {
  std::map<std::string, TensorInfo> assumed;
  std::map<std::string, const TensorInfo*> found = tensors;
  if (tensors.empty())
    for (const ListedTensor& tensor : listed) {
      TensorInfo& info = assumed[tensor.name];
      info = {.name = tensor.name, .dtype = DType::kBF16, .shape = tensor.shape};
      info.bytes = saturating_product(element_count(tensor.shape), dtype_bytes(info.dtype));
      found[tensor.name] = &info;
    }
  const PackingPlan plan(recipe, parameter_count(found));
  BytesNeeded out;
  std::set<std::string> counted;
  for (const ListedTensor& tensor : listed) {
    const auto at = found.find(tensor.name);
    if (tensor.kind == TensorKind::kIgnored || at == found.end()) continue;
    const TensorInfo& stored = *at->second;
    if (counted.insert(tensor.name).second) saturating_add(out.file, stored.bytes);
    if (tensor.kind == TensorKind::kTable) {
      saturating_add(out.mapped, stored.bytes);
      if (PackingPlan::copies_table(stored)) saturating_add(out.packed, stored.bytes);
    } else if (tensor.kind == TensorKind::kMatrix) {
      const Packing packing = plan.matrix(tensor.name, stored, tensor.layout);
      if (packing.layout == Layout::kBlocks)
        saturating_add(out.mapped, stored.bytes);
      else
        saturating_add(out.packed,
                       bytes_of({tensor.name, PackedKind::kMatrix, packing.dtype, packing.layout, tensor.shape}));
    } else {
      saturating_add(out.packed, saturating_product(element_count(tensor.shape), 4));
    }
  }
  return out;
}

}  // namespace g3n

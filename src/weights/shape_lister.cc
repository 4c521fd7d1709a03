#include "weights/shape_lister.h"

#include <algorithm>
#include <set>

#include "core/weight.h"

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
                               const std::map<std::string, const TensorInfo*>& tensors) {
  BytesNeeded out;
  std::set<std::string> counted;
  for (const ListedTensor& tensor : listed) {
    const auto found = tensors.find(tensor.name);
    const bool absent = !tensors.empty() && found == tensors.end();
    if (tensor.kind == TensorKind::kIgnored || absent) continue;
    const DType stored = found == tensors.end() ? DType::kBF16 : found->second->dtype;
    const int64_t count = element_count(tensor.shape), file_bytes = found == tensors.end()
                                                                        ? saturating_product(count, dtype_bytes(stored))
                                                                        : found->second->bytes;
    if (counted.insert(tensor.name).second) saturating_add(out.file, file_bytes);
    if (tensor.kind == TensorKind::kTable) {
      saturating_add(out.mapped, file_bytes);
    } else if (tensor.kind == TensorKind::kMatrix) {
      const bool other_blocks =  // multiplied where they lie, or decoded
          is_block_type(stored) && !is_quantized(stored) &&
          !(has_only_panels(stored) && tensor.layout == Layout::kPanels);
      const DType packed = stored == DType::kF16 || other_blocks ? DType::kF32 : stored;  // an upper bound for f16
      const bool small = count < INT64_MAX / 4096;
      if (other_blocks && tensor.layout == Layout::kPanels)
        saturating_add(out.mapped, file_bytes);
      else
        saturating_add(
            out.packed,
            small ? packed_bytes(packed, tensor.layout, tensor.shape[0], element_count(tensor.shape, 1)) : INT64_MAX);
    } else {
      saturating_add(out.packed, saturating_product(count, 4));
    }
  }
  return out;
}

}  // namespace g3n

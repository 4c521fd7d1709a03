#include "weights/bundle_loader.h"

#include "core/printable.h"
#include "g3n/error.h"
#include "weights/problems.h"

namespace g3n {

Shape BundleLoader::shape_of(const std::string& name) const {
  const Bundle::Entry* entry = bundle_->find(name);
  if (!entry) entry = bundle_->find(name + kTableEnding);
  return entry ? entry->what.shape : Shape{};
}

const Bundle::Entry* BundleLoader::take(const std::string& name, PackedKind kind, const Shape& shape, bool optional) {
  const Bundle::Entry* entry = bundle_->find(name);
  if (!entry) {
    if (!optional) problems_.push_back(name + ": missing, expected shape " + shape_text(shape));
    return nullptr;
  }
  const std::string where = bundle_->path() + ": " + name;
  if (entry->what.kind != kind) {
    problems_.push_back(where + ": expected another kind of tensor, found '" + describe(entry->what) + "'");
    return nullptr;
  }
  if (!same_shape(shape, entry->what.shape)) {
    problems_.push_back(where + ": expected shape " + shape_text(shape) + ", found " + shape_text(entry->what.shape));
    return nullptr;
  }
  bytes_.mapped += entry->what.bytes;
  return entry;
}

void BundleLoader::on_matrix(const std::string& name, WeightView& member, const Shape& shape, Layout layout) {
  member = {};
  member.layout = layout;
  member.rows = shape[0];
  member.cols = element_count(shape, 1);
  const Bundle::Entry* entry = take(name, PackedKind::kMatrix, shape, false);
  if (!entry) return;
  const bool blocks =
      entry->what.layout == Layout::kBlocks &&
      (layout == Layout::kPanels || (layout == Layout::kRows && has_kernels(entry->what.dtype, Layout::kBlocks)));
  if (entry->what.layout != layout && !blocks) {
    problems_.push_back(bundle_->path() + ": " + name + ": expected another layout, found '" + describe(entry->what) +
                        "'");
    return;
  }
  member.dtype = entry->what.dtype;
  member.layout = entry->what.layout;
  member.step_bytes = packed_step_bytes(member.dtype, member.layout, member.rows, member.cols);
  member.data = entry->bytes->data;
}

void BundleLoader::on_vector(const std::string& name, View<const float, 1>& member, const Shape& shape, bool optional) {
  member = {};
  const Bundle::Entry* entry = take(name, PackedKind::kVector, shape, optional);
  if (entry) member = {reinterpret_cast<const float*>(entry->bytes->data), {element_count(shape)}};
}

void BundleLoader::on_depthwise(const std::string& name, View<const float, 2>& member, const Shape& shape) {
  member = {};
  const Bundle::Entry* entry = take(name, PackedKind::kDepthwise, shape, false);
  if (entry) member = {reinterpret_cast<const float*>(entry->bytes->data), {element_count(shape, 1), shape[0]}};
}

void BundleLoader::on_table(const std::string& name, TableView& member, const Shape& shape) {
  member = {};
  member.rows = shape[0];
  member.cols = element_count(shape, 1);
  const Bundle::Entry* entry = take(name + kTableEnding, PackedKind::kTable, shape, false);
  if (!entry) return;
  member.dtype = entry->what.dtype;
  member.data = entry->bytes->data;
  member.fd = entry->bytes->range.fd;
  member.file_offset = entry->bytes->range.offset;
  member.file = entry->bytes->file.c_str();
}

void BundleLoader::check() const { throw_problems(problems_); }

WeightStore BundleLoader::finish() {
  check();
  return WeightStore(bundle_->source());
}

}  // namespace g3n

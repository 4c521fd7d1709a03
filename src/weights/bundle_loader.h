// BundleLoader: the Binder that points a model's members into a mapped bundle. Nothing is allocated, copied or read.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "weights/bundle.h"
#include "weights/weight_reader.h"

namespace g3n {

class BundleLoader : public WeightReader {
 public:
  explicit BundleLoader(std::shared_ptr<const Bundle> bundle) : bundle_(std::move(bundle)) {}

  Shape shape_of(const std::string& name) const override;
  Bytes bytes() const override { return bytes_; }
  void check() const override;
  WeightStore finish() override;

 protected:
  void on_matrix(const std::string& name, WeightView& member, const Shape& shape, Layout layout) override;
  void on_vector(const std::string& name, View<const float, 1>& member, const Shape& shape, bool optional) override;
  void on_depthwise(const std::string& name, View<const float, 2>& member, const Shape& shape) override;
  void on_table(const std::string& name, TableView& member, const Shape& shape) override;
  void on_ignored(const std::string& name, const Shape& shape) override {}

 private:
  // The entry if it is there and holds that, else null and a problem noted.
  const Bundle::Entry* take(const std::string& name, PackedKind kind, const Shape& shape, bool optional);

  std::shared_ptr<const Bundle> bundle_;
  std::vector<std::string> problems_;
  Bytes bytes_;
};

}  // namespace g3n

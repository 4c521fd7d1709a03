// Loader: the Binder that fills a model's members from a checkpoint. Members get their views while the model binds; finish() reports
// everything that does not fit at once, and only then packs, tensor by tensor, giving file pages back as it goes.
//   Loader loader(source, {.pool = pool, .components = {"model.language_model."}});
//   model.bind(loader);
//   WeightStore store = loader.finish();
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "core/log.h"
#include "core/thread_pool.h"
#include "formats/tensor_source.h"
#include "weights/binder.h"
#include "weights/weight_store.h"

namespace g3n {

struct LoaderOptions {
  ThreadPool& pool;
  std::function<void(int64_t done_bytes, int64_t total_bytes)> progress{};  // bytes of the file that are packed; called from finish()
  Log log{};
  // Canonical beginnings that this model answers for: surplus tensors under others are not its business. Empty: the whole checkpoint.
  // Names of no known component (lm_head.weight) belong to "model.language_model.".
  std::vector<std::string> components{};
  // Only check(): nothing is allocated and no value is read; the members' views stay null.
  bool check_only = false;
};

class Loader : public Binder {
 public:
  Loader(std::shared_ptr<const TensorSource> source, LoaderOptions options);
  ~Loader() override;

  Shape shape_of(const std::string& name) const override;

  struct Bytes {
    int64_t packed = 0;  // memory that finish() fills
    int64_t mapped = 0;  // tables, read from the file when needed
  };
  // What the bound tensors take, known before finish().
  Bytes bytes() const { return bytes_; }

  // After bind. Error{kBadFile} lists every missing, misshapen and wrongly typed tensor (the first 20 and a count); surplus tensors are
  // one warning.
  void check() const;
  // check(), then packs everything. Once. After an Error the members' views are dangling: the model is to be thrown away.
  WeightStore finish();

 protected:
  void on_matrix(const std::string& name, WeightView& member, const Shape& shape, Layout layout) override;
  void on_vector(const std::string& name, View<const float, 1>& member, const Shape& shape, bool optional) override;
  void on_depthwise(const std::string& name, View<const float, 2>& member, const Shape& shape) override;
  void on_table(const std::string& name, TableView& member, const Shape& shape) override;
  void on_ignored(const std::string& name, const Shape& shape) override;

 private:
  // One tensor to be filled in.
  struct Task {
    const TensorInfo* tensor;
    std::byte* out;
    WeightView view;         // a matrix; rows is 0 for the others
    int64_t taps = 1;        // kh * kw of a convolution or depthwise filter
    int64_t channels = 0;    // of a depthwise filter; 0: plain f32
  };
  // The tensor if it is there with that shape and a float type; else the problem is noted and null returned.
  const TensorInfo* take(const std::string& name, const Shape& shape, bool optional);
  DType packed_dtype(const TensorInfo& tensor) const;
  // Memory for a tensor of the store; null when only checking.
  std::byte* allocate(int64_t bytes);
  void run(const Task& task);
  void run_matrix(const Task& task);
  void run_f32(const Task& task);
  void warn_surplus() const;

  std::shared_ptr<const TensorSource> source_;
  LoaderOptions options_;
  std::map<std::string, const TensorInfo*> tensors_;  // by canonical name
  std::set<std::string> seen_;
  std::vector<std::string> problems_;
  std::vector<Task> tasks_;
  WeightStore store_;
  Bytes bytes_;
};

}  // namespace g3n

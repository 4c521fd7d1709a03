// Loader: packs the tensors of a checkpoint as a PackingPlan says. Members get their views while the model binds;
// finish() reports everything that does not fit at once, and only then packs, tensor by tensor, giving file pages back
// as it goes.
//   Loader loader(source, {.pool = pool, .components = {"model.language_model."}});
//   model.bind(loader);
//   WeightStore store = loader.finish();
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "core/arena.h"
#include "core/log.h"
#include "core/thread_pool.h"
#include "formats/tensor_source.h"
#include "weights/bundle.h"
#include "weights/plan.h"
#include "weights/recipe.h"
#include "weights/weight_reader.h"

namespace g3n {

enum class LoadMode {
  kLoad,    // finish() fills a WeightStore
  kCheck,   // only check(): nothing is allocated and no value is read; the members' views stay null
  kStream,  // pack_each() instead of finish(): nothing is kept, the members' views stay null; tables are packed, too
};

struct LoaderOptions {
  ThreadPool& pool;
  std::function<void(int64_t done_bytes, int64_t total_bytes)>
      progress{};  // bytes of the file that are packed; called from finish()
  Log log{};
  // Canonical beginnings that this model answers for: surplus tensors under others are not its business. Empty: the
  // whole checkpoint. Names of no known component (lm_head.weight) belong to "model.language_model.".
  std::vector<std::string> components{};
  Recipe recipe{};  // formats of the packed weights
  LoadMode mode = LoadMode::kLoad;
};

class Loader : public WeightReader {
 public:
  Loader(std::shared_ptr<const TensorSource> source, LoaderOptions options);
  ~Loader() override;

  Shape shape_of(const std::string& name) const override;

  Bytes bytes() const override { return bytes_; }
  void check() const override;
  WeightStore finish() override;

  // Of a streaming loader: what pack_each will give, in order.
  std::vector<PackedTensor> plan() const;
  // Packs one tensor after the other, big ones in parts: use(index in plan, offset, bytes), ascending.
  // packed(bytes of the checkpoint that went in) after each part.
  void pack_each(const std::function<void(size_t, int64_t, std::span<const std::byte>)>& use,
                 const std::function<void(int64_t)>& packed);

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
    PackedTensor what;
    std::byte* out = nullptr;
    int64_t taps = 1;  // kh * kw of a convolution or depthwise filter
  };
  // The tensor if it is there with that shape and a type that can be read; else the problem is noted and null returned.
  const TensorInfo* take(const std::string& name, const Shape& shape, bool optional);
  bool is_bf16(const TensorInfo& tensor) const;  // all values of an f16 tensor
  // Memory for a tensor of the store; null when nothing is kept.
  std::byte* allocate(int64_t bytes);
  void add_task(const TensorInfo* tensor, PackedTensor what, std::byte* out, int64_t taps);
  // Output rows first .. first + rows of a task into `out`; all of it for vectors and neurons. out null: they stay
  // where they are, and are checked only.
  void run(const Task& task, int64_t first, int64_t rows, std::byte* out);
  static int64_t source_row_bytes(const Task& task);
  static int64_t part_bytes(const Task& task, int64_t rows);
  static void run_in_parts(const Task& task, const std::function<void(int64_t, int64_t, int64_t)>& use);
  void pack(const Task& task, int64_t first, int64_t rows, std::byte* out);
  // Memory for a form between the file's and the packed one; kept, since fresh pages cost more than the work on them.
  std::byte* scratch(int use, int64_t bytes);
  void run_matrix(const Task& task, int64_t first, int64_t rows, std::byte* out);
  void run_table(const Task& task, int64_t first, int64_t rows, std::byte* out);
  void run_f32(const Task& task, std::byte* out);
  void warn_surplus() const;

  std::shared_ptr<const TensorSource> source_;
  LoaderOptions options_;
  std::map<std::string, const TensorInfo*> tensors_;  // by canonical name
  PackingPlan plan_;
  std::set<std::string> seen_;
  std::vector<std::string> problems_;
  std::vector<Task> tasks_;
  WeightStore store_;
  Bytes bytes_;
  Buffer<std::byte> scratch_[2];
};

}  // namespace g3n

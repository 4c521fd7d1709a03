#include "weights/loader.h"

#include <algorithm>
#include <atomic>
#include <cstring>

#include "formats/safetensors.h"
#include "g3n/error.h"
#include "kernels/pack.h"
#include "weights/tensor_names.h"

namespace g3n {
namespace {

constexpr size_t kListed = 20;             // problems spelled out
constexpr int64_t kGrain = 1 << 16;        // elements per run of a loop over a tensor
constexpr int64_t kReadAhead = 256 << 20;  // bytes
const std::string kText = "model.language_model.";

bool is_float(DType type) { return type == DType::kF32 || type == DType::kBF16 || type == DType::kF16; }

// [out, in, 1, 1] and [out, in] are the same matrix; exporters differ.
Shape without_trailing_ones(Shape shape) {
  while (shape.size() > 1 && shape.back() == 1) shape.pop_back();
  return shape;
}
// For vectors, leading ones as well ([1, channels, 1, 1]).
Shape without_ones(Shape shape) {
  std::erase(shape, 1);
  return shape;
}
bool same_shape(const Shape& want, const Shape& got) {
  return without_trailing_ones(want) == without_trailing_ones(got) || (want.size() == 1 && without_ones(want) == without_ones(got));
}

template <typename T>
T load_as(const std::byte* data, int64_t index) {
  T value;
  std::memcpy(&value, data + index * static_cast<int64_t>(sizeof(T)), sizeof(T));
  return value;
}

float element(DType type, const std::byte* data, int64_t index) {
  switch (type) {
    case DType::kF32: return load_as<float>(data, index);
    case DType::kBF16: return bf16_to_f32(load_as<uint16_t>(data, index));
    default: return f16_to_f32(load_as<uint16_t>(data, index));
  }
}

bool is_bf16_exactly(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, 4);
  return (bits & 0xffffu) == 0;
}

// Rows of a convolution kernel from (in, taps) to (taps, in): element by element of `size` bytes.
void reorder_taps(ThreadPool& pool, const std::byte* from, std::byte* to, int64_t rows, int64_t in, int64_t taps, int64_t size) {
  pool.parallel_for(rows, std::max<int64_t>(1, kGrain / (in * taps)), [=](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r)
      for (int64_t i = 0; i < in; ++i)
        for (int64_t t = 0; t < taps; ++t)
          std::memcpy(to + ((r * taps + t) * in + i) * size, from + ((r * in + i) * taps + t) * size, static_cast<size_t>(size));
  });
}

}  // namespace

Loader::Loader(std::shared_ptr<const TensorSource> source, LoaderOptions options)
    : source_(std::move(source)), options_(std::move(options)), tensors_(canonical_tensors(*source_)), store_(source_) {}

Loader::~Loader() = default;

Shape Loader::shape_of(const std::string& name) const {
  const auto found = tensors_.find(name);
  return found == tensors_.end() ? Shape{} : found->second->shape;
}

const TensorInfo* Loader::take(const std::string& name, const Shape& shape, bool optional) {
  seen_.insert(name);
  const auto found = tensors_.find(name);
  if (found == tensors_.end()) {
    if (!optional) problems_.push_back(name + ": missing, expected shape " + shape_text(shape));
    return nullptr;
  }
  const TensorInfo& tensor = *found->second;
  const std::string where = tensor.file + ": " + tensor.name;
  if (!same_shape(shape, tensor.shape)) {
    problems_.push_back(where + ": expected shape " + shape_text(shape) + ", found " + shape_text(tensor.shape));
    return nullptr;
  }
  if (!is_float(tensor.dtype)) {
    problems_.push_back(where + ": expected BF16, F32 or F16, found " + dtype_name(tensor.dtype));
    return nullptr;
  }
  return &tensor;
}

std::byte* Loader::allocate(int64_t bytes) {
  bytes_.packed += bytes;
  return options_.check_only ? nullptr : store_.allocate(bytes);
}

// The stored type; f16 has no kernels, so it becomes bf16 where that is exact, else f32.
DType Loader::packed_dtype(const TensorInfo& tensor) const {
  if (tensor.dtype != DType::kF16) return tensor.dtype;
  if (options_.check_only) return DType::kF32;
  std::atomic<bool> exact{true};
  options_.pool.parallel_for(element_count(tensor.shape), kGrain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end && exact.load(std::memory_order_relaxed); ++i)
      if (!is_bf16_exactly(element(DType::kF16, tensor.data, i))) exact.store(false, std::memory_order_relaxed);
  });
  return exact ? DType::kBF16 : DType::kF32;
}

void Loader::on_matrix(const std::string& name, WeightView& member, const Shape& shape, Layout layout) {
  member = {};
  member.layout = layout;
  member.rows = shape[0];
  member.cols = element_count(shape, 1);
  const TensorInfo* tensor = take(name, shape, false);
  if (!tensor) return;
  member.dtype = packed_dtype(*tensor);
  member.step_bytes = packed_step_bytes(member.dtype, layout, member.rows, member.cols);
  const int64_t bytes = packed_bytes(member.dtype, layout, member.rows, member.cols);
  std::byte* out = allocate(bytes);
  member.data = out;
  tasks_.push_back({.tensor = tensor, .out = out, .view = member, .taps = element_count(shape, std::min<size_t>(2, shape.size()))});
}

void Loader::on_vector(const std::string& name, View<const float, 1>& member, const Shape& shape, bool optional) {
  member = {};
  const TensorInfo* tensor = take(name, shape, optional);
  if (!tensor) return;
  const int64_t size = element_count(shape);
  std::byte* out = allocate(size * 4);
  member = {reinterpret_cast<const float*>(out), {size}};
  tasks_.push_back({.tensor = tensor, .out = out, .view = {}});
}

void Loader::on_depthwise(const std::string& name, View<const float, 2>& member, const Shape& shape) {
  member = {};
  const TensorInfo* tensor = take(name, shape, false);
  if (!tensor) return;
  const int64_t channels = shape[0], taps = element_count(shape, 1);
  std::byte* out = allocate(channels * taps * 4);
  member = {reinterpret_cast<const float*>(out), {taps, channels}};
  tasks_.push_back({.tensor = tensor, .out = out, .view = {}, .taps = taps, .channels = channels});
}

void Loader::on_table(const std::string& name, TableView& member, const Shape& shape) {
  member = {};
  member.rows = shape[0];
  member.cols = element_count(shape, 1);
  const TensorInfo* tensor = take(name, shape, false);
  if (!tensor) return;
  member.dtype = tensor->dtype;
  member.data = options_.check_only ? nullptr : tensor->data;
  bytes_.mapped += tensor->bytes;
  if (reinterpret_cast<uintptr_t>(tensor->data) % static_cast<uintptr_t>(dtype_bytes(tensor->dtype)) == 0) return;
  // A header of odd length: elements are not aligned in the file, so this table is copied.
  std::byte* out = allocate(tensor->bytes);
  if (!out) return;
  std::memcpy(out, tensor->data, static_cast<size_t>(tensor->bytes));
  member.data = out;
}

void Loader::on_ignored(const std::string& name, const Shape&) { seen_.insert(name); }

void Loader::run_matrix(const Task& task) {
  const WeightView& view = task.view;
  const int64_t size = dtype_bytes(task.tensor->dtype);
  PackSource from{task.tensor->dtype, task.tensor->data};
  Buffer<std::byte> copy;
  if (task.taps > 1) {
    copy = Buffer<std::byte>(task.tensor->bytes);
    reorder_taps(options_.pool, from.data, copy.data(), view.rows, view.cols / task.taps, task.taps, size);
    from.data = copy.data();
  } else if (reinterpret_cast<uintptr_t>(from.data) % static_cast<uintptr_t>(size) != 0) {
    copy = Buffer<std::byte>(task.tensor->bytes);
    std::memcpy(copy.data(), from.data, static_cast<size_t>(task.tensor->bytes));
    from.data = copy.data();
  }
  pack_weight(options_.pool, from, view, task.out);
}

void Loader::run_f32(const Task& task) {
  float* out = reinterpret_cast<float*>(task.out);
  const TensorInfo& tensor = *task.tensor;
  if (task.channels == 0) {
    const int64_t count = element_count(tensor.shape);
    for (int64_t i = 0; i < count; ++i) out[i] = element(tensor.dtype, tensor.data, i);
    return;
  }
  for (int64_t c = 0; c < task.channels; ++c)
    for (int64_t t = 0; t < task.taps; ++t) out[t * task.channels + c] = element(tensor.dtype, tensor.data, c * task.taps + t);
}

void Loader::run(const Task& task) {
  if (task.view.rows > 0) {
    run_matrix(task);
  } else {
    run_f32(task);
  }
}

void Loader::warn_surplus() const {
  static const char* const kComponents[] = {"model.language_model.", "model.vision_tower.", "model.audio_tower.", "model.embed_vision.", "model.embed_audio."};
  const auto mine = [&](const std::string& name) {
    if (options_.components.empty()) return true;
    for (const std::string& component : options_.components)
      if (name.starts_with(component)) return true;
    const bool known = std::any_of(std::begin(kComponents), std::end(kComponents), [&](const char* c) { return name.starts_with(c); });
    return !known && std::find(options_.components.begin(), options_.components.end(), kText) != options_.components.end();
  };
  int64_t count = 0;
  std::string names, file;
  for (const auto& [name, tensor] : tensors_) {
    if (seen_.contains(name) || !mine(name)) continue;
    if (++count <= 3) names += (count > 1 ? ", " : "") + tensor->name;
    if (file.empty()) file = tensor->file;
  }
  if (count == 0) return;
  options_.log.warn(file + ": " + std::to_string(count) + (count == 1 ? " tensor" : " tensors") + " that this model does not use: " + names +
                    (count > 3 ? ", ..." : ""));
}

void Loader::check() const {
  if (!problems_.empty()) {
    std::string text;
    for (size_t i = 0; i < std::min(problems_.size(), kListed); ++i) text += (i ? "; " : "") + problems_[i];
    if (problems_.size() > kListed) text += "; and " + std::to_string(problems_.size() - kListed) + " more";
    throw Error(ErrorCode::kBadFile, std::to_string(problems_.size()) + (problems_.size() == 1 ? " tensor does" : " tensors do") + " not fit: " + text);
  }
  warn_surplus();
}

WeightStore Loader::finish() {
  check();
  if (options_.check_only) throw Error(ErrorCode::kInternal, "a loader that only checks has nothing to give");
  int64_t total = 0, done = 0;
  for (const Task& task : tasks_) total += task.tensor->bytes;
  int64_t asked = 0;
  size_t next = 0;
  for (const Task& task : tasks_) {
    if (options_.progress) options_.progress(done, total);
    // The disk reads the next tensors while this one is packed.
    for (; next < tasks_.size() && asked <= done + kReadAhead; ++next) {
      source_->will_need(*tasks_[next].tensor);
      asked += tasks_[next].tensor->bytes;
    }
    run(task);
    source_->drop(*task.tensor);
    done += task.tensor->bytes;
  }
  if (options_.progress) options_.progress(done, total);
  tasks_.clear();
  return std::move(store_);
}

}  // namespace g3n

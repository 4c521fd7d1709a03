#include "weights/loader.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <vector>

#include "core/printable.h"
#include "g3n/error.h"
#include "kernels/pack.h"
#include "weights/problems.h"
#include "weights/tensor_names.h"

namespace g3n {
namespace {

constexpr int64_t kGrain = 1 << 16;        // elements per run of a loop over a tensor
constexpr int64_t kReadAhead = 256 << 20;  // bytes
constexpr int64_t kPartBytes = 32 << 20;   // of the source of a streamed tensor that is packed at once
constexpr const char* kText = "model.language_model.";

bool is_float(DType type) { return type == DType::kF32 || type == DType::kBF16 || type == DType::kF16; }

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
void reorder_taps(ThreadPool& pool, const std::byte* from, std::byte* to, int64_t rows, int64_t in, int64_t taps,
                  int64_t size) {
  pool.parallel_for(rows, std::max<int64_t>(1, kGrain / (in * taps)), [=](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r)
      for (int64_t i = 0; i < in; ++i)
        for (int64_t t = 0; t < taps; ++t)
          std::memcpy(to + ((r * taps + t) * in + i) * size, from + ((r * in + i) * taps + t) * size,
                      static_cast<size_t>(size));
  });
}

}  // namespace

Loader::Loader(std::shared_ptr<const TensorSource> source, LoaderOptions options)
    : source_(std::move(source)),
      options_(std::move(options)),
      tensors_(canonical_tensors(*source_)),
      plan_(options_.recipe, parameter_count(tensors_)),
      store_(source_) {}

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
  if (!is_float(tensor.dtype) && !is_block_type(tensor.dtype)) {
    problems_.push_back(where + ": expected BF16, F32, F16 or blocks of a GGUF type, found " +
                        dtype_name(tensor.dtype));
    return nullptr;
  }
  return &tensor;
}

std::byte* Loader::allocate(int64_t bytes) {
  bytes_.packed += bytes;
  return options_.mode == LoadMode::kLoad ? store_.allocate(bytes) : nullptr;
}

bool Loader::is_bf16(const TensorInfo& tensor) const {
  std::atomic<bool> exact{true};
  options_.pool.parallel_for(element_count(tensor.shape), kGrain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end && exact.load(std::memory_order_relaxed); ++i)
      if (!is_bf16_exactly(element(DType::kF16, tensor.data, i))) exact.store(false, std::memory_order_relaxed);
  });
  return exact;
}

void Loader::add_task(const TensorInfo* tensor, PackedTensor what, std::byte* out, int64_t taps) {
  what.bytes = bytes_of(what);
  tasks_.push_back({.tensor = tensor, .what = std::move(what), .out = out, .taps = taps});
}

void Loader::on_matrix(const std::string& name, WeightView& member, const Shape& shape, Layout layout) {
  member = {};
  member.layout = layout;
  member.rows = shape[0];
  member.cols = element_count(shape, 1);
  const TensorInfo* tensor = take(name, shape, false);
  if (!tensor) return;
  const PackingPlan::IsBf16 look = [this](const TensorInfo& t) { return is_bf16(t); };
  const Packing packing =
      plan_.matrix(name, *tensor, layout, options_.mode == LoadMode::kCheck ? PackingPlan::IsBf16() : look);
  member.dtype = packing.dtype, member.layout = packing.layout;
  member.step_bytes = packed_step_bytes(member.dtype, member.layout, member.rows, member.cols);
  if (member.layout == Layout::kBlocks && options_.mode != LoadMode::kStream) {  // read where it lies
    bytes_.mapped += tensor->bytes;
    if (options_.mode == LoadMode::kCheck) return;
    member.data = tensor->data;
    add_task(tensor, {name, PackedKind::kMatrix, member.dtype, member.layout, shape}, nullptr, 1);
    return;
  }
  std::byte* out = allocate(packed_bytes(member.dtype, member.layout, member.rows, member.cols));
  member.data = out;
  add_task(tensor, {name, PackedKind::kMatrix, member.dtype, member.layout, shape}, out,
           element_count(shape, std::min<size_t>(2, shape.size())));
}

void Loader::on_vector(const std::string& name, View<const float, 1>& member, const Shape& shape, bool optional) {
  member = {};
  const TensorInfo* tensor = take(name, shape, optional);
  if (!tensor) return;
  const int64_t size = element_count(shape);
  std::byte* out = allocate(size * 4);
  member = {reinterpret_cast<const float*>(out), {size}};
  add_task(tensor, {name, PackedKind::kVector, DType::kF32, Layout::kRows, shape}, out, 1);
}

void Loader::on_depthwise(const std::string& name, View<const float, 2>& member, const Shape& shape) {
  member = {};
  const TensorInfo* tensor = take(name, shape, false);
  if (!tensor) return;
  const int64_t channels = shape[0], taps = element_count(shape, 1);
  std::byte* out = allocate(channels * taps * 4);
  member = {reinterpret_cast<const float*>(out), {taps, channels}};
  add_task(tensor, {name, PackedKind::kDepthwise, DType::kF32, Layout::kRows, shape}, out, taps);
}

void Loader::on_table(const std::string& name, TableView& member, const Shape& shape) {
  member = {};
  member.rows = shape[0];
  member.cols = element_count(shape, 1);
  const TensorInfo* tensor = take(name, shape, false);
  if (!tensor) return;
  member.dtype = tensor->dtype;
  const DType dtype = plan_.table(name, *tensor);
  if (options_.mode == LoadMode::kStream) {
    add_task(tensor, {name + kTableEnding, PackedKind::kTable, dtype, Layout::kRows, shape}, nullptr, 1);
    return;
  }
  if (dtype != tensor->dtype) member.rounded_to = dtype;  // the answers of a bundle, without its memory
  bytes_.mapped += tensor->bytes;
  member.fd = tensor->range.fd;
  member.file_offset = tensor->range.offset;
  member.file = tensor->file.c_str();
  if (options_.mode == LoadMode::kLoad) member.data = tensor->data;
  if (!PackingPlan::copies_table(*tensor)) return;
  std::byte* out = allocate(tensor->bytes);
  if (!out) return;
  std::memcpy(out, tensor->data, static_cast<size_t>(tensor->bytes));
  member.data = out;
}

void Loader::on_ignored(const std::string& name, const Shape&) { seen_.insert(name); }

std::byte* Loader::scratch(int use, int64_t bytes) {
  if (scratch_[use].size() < bytes) scratch_[use] = {}, scratch_[use] = Buffer<std::byte>(bytes);
  return scratch_[use].data();
}

void Loader::run_matrix(const Task& task, int64_t first, int64_t rows, std::byte* out) {
  const int64_t cols = element_count(task.what.shape, 1), row_bytes = dtype_bytes(task.tensor->dtype, cols);
  const WeightView view{.dtype = task.what.dtype,
                        .layout = task.what.layout,
                        .rows = rows,
                        .cols = cols,
                        .step_bytes = packed_step_bytes(task.what.dtype, task.what.layout, rows, cols)};
  PackSource from{task.tensor->dtype, task.tensor->data + first * row_bytes, first};
  if (view.layout == Layout::kBlocks) {
    std::memcpy(out, from.data, static_cast<size_t>(rows * row_bytes));
    return;
  }
  const int64_t count = rows * cols;
  if (is_block_type(from.dtype) && from.dtype != view.dtype) {
    float* values = reinterpret_cast<float*>(scratch(0, count * 4));
    options_.pool.parallel_for(rows, 16, [&](int64_t begin, int64_t end) {
      decode_values(from.dtype, from.data + begin * row_bytes, (end - begin) * cols, values + begin * cols);
    });
    from = {DType::kF32, reinterpret_cast<const std::byte*>(values), first};
  } else if (from.dtype != view.dtype && view.dtype == DType::kBF16) {  // a recipe asks for less than the file has
    std::byte* rounded = scratch(0, count * 2);
    pack_table(options_.pool, from, rows, cols, DType::kBF16, rounded);
    from = {DType::kBF16, rounded, first};
  }
  const int64_t size = is_block_type(from.dtype) ? 1 : dtype_bytes(from.dtype);
  if (task.taps > 1) {
    std::byte* reordered = scratch(1, count * size);
    reorder_taps(options_.pool, from.data, reordered, rows, cols / task.taps, task.taps, size);
    from.data = reordered;
  } else if (reinterpret_cast<uintptr_t>(from.data) % static_cast<uintptr_t>(size) != 0) {
    std::byte* copy = scratch(1, rows * row_bytes);
    std::memcpy(copy, from.data, static_cast<size_t>(rows * row_bytes));
    from.data = copy;
  }
  pack_weight(options_.pool, from, view, out);
}

void Loader::run_table(const Task& task, int64_t first, int64_t rows, std::byte* out) {
  const int64_t cols = element_count(task.what.shape, 1), row_bytes = dtype_bytes(task.tensor->dtype, cols);
  pack_table(options_.pool, {task.tensor->dtype, task.tensor->data + first * row_bytes, first}, rows, cols,
             task.what.dtype, out);
}

void Loader::run_f32(const Task& task, std::byte* bytes) {
  float* out = reinterpret_cast<float*>(bytes);
  const TensorInfo& tensor = *task.tensor;
  const int64_t count = element_count(tensor.shape);
  std::vector<float> decoded;
  if (is_block_type(tensor.dtype)) {
    decoded.resize(static_cast<size_t>(count));
    decode_values(tensor.dtype, tensor.data, count, decoded.data());
  }
  const auto value = [&](int64_t i) {
    return decoded.empty() ? element(tensor.dtype, tensor.data, i) : decoded[static_cast<size_t>(i)];
  };
  const int64_t channels = task.what.shape[0];
  if (task.what.kind == PackedKind::kVector) {
    for (int64_t i = 0; i < count; ++i) out[i] = value(i);
    return;
  }
  for (int64_t c = 0; c < channels; ++c)
    for (int64_t t = 0; t < task.taps; ++t) out[t * channels + c] = value(c * task.taps + t);
}

void Loader::run(const Task& task, int64_t first, int64_t rows, std::byte* out) {
  const TensorInfo& tensor = *task.tensor;
  const bool by_rows = task.what.kind == PackedKind::kMatrix || task.what.kind == PackedKind::kTable;
  const int64_t cols = element_count(task.what.shape, by_rows ? 1 : 0);
  try {
    expect_finite_scales(options_.pool, {tensor.dtype, tensor.data + first * dtype_bytes(tensor.dtype, cols), first},
                         by_rows ? rows : 1, cols);
    if (out) pack(task, first, rows, out);
  } catch (const Error& e) {
    throw Error(e.code(), tensor.file + ": " + tensor.name + ": " + e.what());
  }
}

void Loader::pack(const Task& task, int64_t first, int64_t rows, std::byte* out) {
  switch (task.what.kind) {
    case PackedKind::kMatrix: return run_matrix(task, first, rows, out);
    case PackedKind::kTable: return run_table(task, first, rows, out);
    default: return run_f32(task, out);
  }
}

void Loader::warn_surplus() const {
  static const char* const kComponents[] = {"model.language_model.", "model.vision_tower.", "model.audio_tower.",
                                            "model.embed_vision.", "model.embed_audio."};
  const auto mine = [&](const std::string& name) {
    if (options_.components.empty()) return true;
    for (const std::string& component : options_.components)
      if (name.starts_with(component)) return true;
    const bool known =
        std::any_of(std::begin(kComponents), std::end(kComponents), [&](const char* c) { return name.starts_with(c); });
    return !known &&
           std::find(options_.components.begin(), options_.components.end(), kText) != options_.components.end();
  };
  int64_t count = 0;
  std::string names, file;
  for (const auto& [name, tensor] : tensors_) {
    if (seen_.contains(name) || !mine(name)) continue;
    if (++count <= 3) names += (count > 1 ? ", " : "") + tensor->name;
    if (file.empty()) file = tensor->file;
  }
  if (count == 0) return;
  options_.log.warn(file + ": " + std::to_string(count) + (count == 1 ? " tensor" : " tensors") +
                    " that this model does not use: " + names + (count > 3 ? ", ..." : ""));
}

void Loader::check() const {
  throw_problems(problems_);
  warn_surplus();
}

WeightStore Loader::finish() {
  check();
  if (options_.mode != LoadMode::kLoad)
    throw Error(ErrorCode::kInternal, "a loader that keeps nothing has nothing to give");
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
    run_in_parts(task, [&](int64_t first, int64_t rows, int64_t offset) {
      run(task, first, rows, task.out ? task.out + offset : nullptr);
    });
    source_->drop(*task.tensor);
    done += task.tensor->bytes;
  }
  if (options_.progress) options_.progress(done, total);
  tasks_.clear();
  for (Buffer<std::byte>& memory : scratch_) memory = {};
  return std::move(store_);
}

std::vector<PackedTensor> Loader::plan() const {
  std::vector<PackedTensor> out;
  for (const Task& task : tasks_) out.push_back(task.what);
  return out;
}

void Loader::pack_each(const std::function<void(size_t, int64_t, std::span<const std::byte>)>& use,
                       const std::function<void(int64_t)>& packed) {
  std::vector<std::byte> buffer;
  for (size_t i = 0; i < tasks_.size(); ++i) {
    const Task& task = tasks_[i];
    const int64_t rows = task.what.shape[0], row_bytes = source_row_bytes(task);
    run_in_parts(task, [&](int64_t first, int64_t count, int64_t offset) {
      TensorInfo behind = *task.tensor;  // the next part, read while this one is packed
      behind.data += (first + count) * row_bytes;
      behind.bytes = std::min(count, rows - first - count) * row_bytes;
      if (behind.bytes > 0)
        source_->will_need(behind);
      else if (i + 1 < tasks_.size())
        source_->will_need(*tasks_[i + 1].tensor);
      buffer.resize(static_cast<size_t>(part_bytes(task, count)));
      run(task, first, count, buffer.data());
      use(i, offset, buffer);
      TensorInfo used = *task.tensor;
      used.data += first * row_bytes;
      used.bytes = count * row_bytes;
      source_->drop(used);
      packed(used.bytes);
    });
  }
}

int64_t Loader::source_row_bytes(const Task& task) {
  return task.tensor->bytes / std::max<int64_t>(task.what.shape[0], 1);
}

int64_t Loader::part_bytes(const Task& task, int64_t rows) {
  PackedTensor part = task.what;
  part.shape[0] = rows;
  return bytes_of(part);
}

// use(first row, rows, offset in the packed tensor), ascending: tables and matrices whose rows lie one behind the other
// in parts, others whole.
void Loader::run_in_parts(const Task& task, const std::function<void(int64_t, int64_t, int64_t)>& use) {
  const int64_t rows = task.what.shape[0];
  const bool in_parts =
      task.what.kind == PackedKind::kTable ||
      (task.what.kind == PackedKind::kMatrix && task.what.layout != Layout::kNeurons && task.taps == 1);
  const int64_t part =
      in_parts ? round_up(std::max<int64_t>(kPartBytes / std::max<int64_t>(source_row_bytes(task), 1), 1), kPanelRows)
               : rows;
  int64_t offset = 0;
  for (int64_t first = 0; first < rows; first += part) {
    const int64_t count = std::min(part, rows - first);
    use(first, count, offset);
    offset += part_bytes(task, count);
  }
}

}  // namespace g3n

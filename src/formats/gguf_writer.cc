#include "formats/gguf_writer.h"

#include <bit>

#include "core/printable.h"
#include "formats/gguf_types.h"
#include "g3n/error.h"

namespace g3n {
namespace {

static_assert(std::endian::native == std::endian::little);

constexpr uint32_t kVersion = 3;
constexpr int64_t kAlignment = 32;
constexpr size_t kMostName = 63;  // llama.cpp's limit
constexpr size_t kMostAxes = 4;

using namespace gguf;

template <typename T>
void append(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

void append_string(std::string& out, std::string_view text) {
  append(out, static_cast<uint64_t>(text.size()));
  out.append(text);
}

constexpr int64_t padded(int64_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

}  // namespace

GgufWriter::GgufWriter(const std::string& path) : file_(path) {}

void GgufWriter::begin_key(const std::string& key, uint32_t value_type) {
  if (data_start_ >= 0) throw Error(ErrorCode::kInternal, file_.path() + ": key " + key + " after the data was begun");
  if (!key_names_.emplace(key, key_names_.size()).second)
    throw Error(ErrorCode::kInvalidArgument, file_.path() + ": key " + key + ": given twice");
  append_string(keys_, key);
  append(keys_, value_type);
}

void GgufWriter::begin_array(const std::string& key, uint32_t element_type, size_t count) {
  begin_key(key, kArray);
  append(keys_, element_type);
  append(keys_, static_cast<uint64_t>(count));
}

void GgufWriter::set(const std::string& key, uint32_t value) { begin_key(key, kU32), append(keys_, value); }
void GgufWriter::set(const std::string& key, float value) { begin_key(key, kF32), append(keys_, value); }
void GgufWriter::set(const std::string& key, std::string_view value) {
  begin_key(key, kText), append_string(keys_, value);
}
void GgufWriter::set_bool(const std::string& key, bool value) {
  begin_key(key, kBool), append(keys_, static_cast<uint8_t>(value));
}

void GgufWriter::set(const std::string& key, const std::vector<uint32_t>& values) {
  begin_array(key, kU32, values.size());
  for (const uint32_t value : values) append(keys_, value);
}
void GgufWriter::set(const std::string& key, const std::vector<int32_t>& values) {
  begin_array(key, kI32, values.size());
  for (const int32_t value : values) append(keys_, value);
}
void GgufWriter::set(const std::string& key, const std::vector<float>& values) {
  begin_array(key, kF32, values.size());
  for (const float value : values) append(keys_, value);
}
void GgufWriter::set(const std::string& key, const std::vector<bool>& values) {
  begin_array(key, kBool, values.size());
  for (const bool value : values) append(keys_, static_cast<uint8_t>(value));
}
void GgufWriter::set(const std::string& key, const std::vector<std::string>& values) {
  begin_array(key, kText, values.size());
  for (const std::string& value : values) append_string(keys_, value);
}

size_t GgufWriter::declare(const std::string& name, DType dtype, const std::vector<int64_t>& shape) {
  const std::string where = file_.path() + ": " + name;
  const auto refuse = [&where](const std::string& what) -> Error {
    return {ErrorCode::kInvalidArgument, where + ": " + what};
  };
  if (data_start_ >= 0) throw Error(ErrorCode::kInternal, where + ": declared after the data was begun");
  if (name.empty() || name.size() > kMostName)
    throw refuse("expected a name of 1 to " + std::to_string(kMostName) + " bytes, got " + std::to_string(name.size()));
  if (!number_of(dtype)) throw refuse(std::string("GGUF files are not written with type ") + dtype_name(dtype));
  if (shape.empty() || shape.size() > kMostAxes) throw refuse("expected 1 to 4 axes, got " + shape_text(shape));
  const int64_t block = dtype_facts(dtype).block_values;
  if (shape.back() % block != 0)
    throw refuse("rows of " + std::to_string(shape.back()) + " values are not whole blocks of " + dtype_name(dtype));
  int64_t bytes = dtype_facts(dtype).block_bytes, end = 0;
  for (size_t axis = 0; axis < shape.size(); ++axis)
    if (shape[axis] < 1 ||
        __builtin_mul_overflow(bytes, axis + 1 == shape.size() ? shape[axis] / block : shape[axis], &bytes))
      throw refuse("a shape that cannot be written: " + shape_text(shape));
  if (__builtin_add_overflow(data_bytes_, bytes, &end) || end > INT64_MAX - kAlignment) throw refuse("too large");
  if (!tensor_names_.emplace(name, tensors_.size()).second) throw refuse("given twice");
  tensors_.push_back({name, dtype, shape, data_bytes_, bytes});
  data_bytes_ = padded(end);
  return tensors_.size() - 1;
}

void GgufWriter::begin_data() {
  if (data_start_ >= 0) throw Error(ErrorCode::kInternal, file_.path() + ": data begun twice");
  std::string text = "GGUF";
  append(text, kVersion);
  append(text, static_cast<uint64_t>(tensors_.size()));
  append(text, static_cast<uint64_t>(key_names_.size()));
  text += keys_;
  for (const Entry& tensor : tensors_) {
    append_string(text, tensor.name);
    append(text, static_cast<uint32_t>(tensor.shape.size()));
    for (auto extent = tensor.shape.rbegin(); extent != tensor.shape.rend(); ++extent)
      append(text, static_cast<uint64_t>(*extent));
    append(text, *number_of(tensor.dtype));
    append(text, static_cast<uint64_t>(tensor.begin));
  }
  data_start_ = padded(static_cast<int64_t>(text.size()));
  file_.write(0, text);
  file_.resize(data_start_ + data_bytes_);
}

void GgufWriter::write(size_t index, int64_t offset, std::span<const std::byte> bytes) const {
  if (data_start_ < 0 || index >= tensors_.size() || offset < 0 ||
      static_cast<int64_t>(bytes.size()) > tensors_[index].bytes - offset)
    throw Error(ErrorCode::kInternal, file_.path() + ": a write outside tensor " + std::to_string(index));
  file_.write(data_start_ + tensors_[index].begin + offset, bytes);
}

void GgufWriter::finish() {
  if (data_start_ < 0) begin_data();
  file_.finish();
}

}  // namespace g3n

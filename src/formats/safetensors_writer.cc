#include "formats/safetensors_writer.h"

#include <algorithm>
#include <cstring>

#include "core/printable.h"
#include "formats/safetensors.h"
#include "json/writer.h"
#include "g3n/error.h"

namespace g3n {

SafetensorsWriter::SafetensorsWriter(const std::string& path, const Metadata& metadata, const WriteRules& rules)
    : file_(path, rules), metadata_(metadata) {}

SafetensorsWriter::SafetensorsWriter(const std::string& path, const std::vector<TensorDeclaration>& tensors,
                                     const Metadata& metadata, const WriteRules& rules)
    : file_(path, rules), metadata_(metadata), declared_(true) {
  for (const TensorDeclaration& tensor : tensors) declare(tensor);
  const std::string text = header();
  file_.write(0, text);
  data_start_ = static_cast<int64_t>(text.size());
  file_.resize(data_start_ + data_bytes_);
}

void SafetensorsWriter::declare(const TensorDeclaration& tensor) {
  const std::string where = path() + ": " + tensor.name;
  if (!names_.emplace(tensor.name, entries_.size()).second)
    throw Error(ErrorCode::kInvalidArgument, where + ": written twice");
  int64_t bytes = dtype_bytes(tensor.dtype), end = 0;
  for (const int64_t extent : tensor.shape)
    if (extent < 0 || __builtin_mul_overflow(bytes, extent, &bytes))
      throw Error(ErrorCode::kInvalidArgument, where + ": a shape that cannot be written: " + shape_text(tensor.shape));
  if (__builtin_add_overflow(data_bytes_, bytes, &end)) throw Error(ErrorCode::kInvalidArgument, where + ": too large");
  entries_.push_back({tensor, data_bytes_, bytes});
  data_bytes_ = end;
}

void SafetensorsWriter::add(const std::string& name, DType dtype, const std::vector<int64_t>& shape,
                            std::span<const std::byte> bytes) {
  if (declared_) throw Error(ErrorCode::kInternal, path() + ": " + name + ": added to a file of declared tensors");
  declare({name, dtype, shape});
  const Entry& entry = entries_.back();
  if (static_cast<size_t>(entry.bytes) != bytes.size())
    throw Error(ErrorCode::kInvalidArgument, path() + ": " + name + ": " + dtype_name(dtype) + " " + shape_text(shape) +
                                                 " needs " + std::to_string(entry.bytes) + " bytes, got " +
                                                 std::to_string(bytes.size()));
  file_.write(entry.begin, bytes);
}

void SafetensorsWriter::write(size_t index, int64_t offset, std::span<const std::byte> bytes) const {
  if (!declared_ || index >= entries_.size() || offset < 0 ||
      static_cast<int64_t>(bytes.size()) > entries_[index].bytes - offset)
    throw Error(ErrorCode::kInternal, path() + ": a write outside tensor " + std::to_string(index));
  file_.write(data_start_ + entries_[index].begin + offset, bytes);
}

void SafetensorsWriter::set_metadata(const std::string& key, const std::string& value) {
  const auto found = metadata_.find(key);
  if (!declared_ || found == metadata_.end() || found->second.size() != value.size())
    throw Error(ErrorCode::kInternal, path() + ": metadata '" + key + "' cannot be set now");
  found->second = value;
  file_.write(0, header());
}

// 8 bytes of length and the JSON text, padded with spaces so that the data starts at a multiple of 64.
std::string SafetensorsWriter::header() const {
  std::string text = "{";
  const auto comma = [&text] {
    if (text.back() != '{' && text.back() != '[') text += ',';
  };
  if (!metadata_.empty()) {
    text += "\"__metadata__\":{";
    for (const auto& [key, value] : metadata_)
      comma(), text.append(json_string(key)).append(":").append(json_string(value));
    text += '}';
  }
  for (const Entry& entry : entries_) {
    comma();
    text.append(json_string(entry.tensor.name))
        .append(":{\"dtype\":\"")
        .append(dtype_name(entry.tensor.dtype))
        .append("\",\"shape\":[");
    for (const int64_t extent : entry.tensor.shape) comma(), text.append(std::to_string(extent));
    text.append("],\"data_offsets\":[")
        .append(std::to_string(entry.begin))
        .append(",")
        .append(std::to_string(entry.begin + entry.bytes))
        .append("]}");
  }
  text += "}";
  text.resize((text.size() + 8 + 63) / 64 * 64 - 8, ' ');
  const uint64_t length = text.size();
  if (length > kMaxSafetensorsHeader)
    throw Error(ErrorCode::kInvalidArgument, path() + ": more tensors than one header may name");
  char bytes[8];
  std::memcpy(bytes, &length, 8);
  return std::string(bytes, 8) + text;
}

// Added tensors lie at the file's start: they move up by the header's size, last bytes first.
void SafetensorsWriter::append_data_behind_header() {
  const std::string text = header();
  const int64_t shift = static_cast<int64_t>(text.size());
  std::vector<std::byte> chunk(size_t{4} << 20);
  for (int64_t end = data_bytes_; end > 0;) {
    const int64_t size = std::min<int64_t>(end, static_cast<int64_t>(chunk.size())), begin = end - size;
    const std::span<std::byte> part(chunk.data(), static_cast<size_t>(size));
    file_.read(begin, part);
    file_.write(begin + shift, part);
    end = begin;
  }
  file_.write(0, text);
}

void SafetensorsWriter::finish() {
  if (finished_) throw Error(ErrorCode::kInternal, path() + ": finished twice");
  finished_ = true;
  if (!declared_) append_data_behind_header();
  file_.finish();
}

}  // namespace g3n

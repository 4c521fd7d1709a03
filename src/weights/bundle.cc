#include "weights/bundle.h"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <sstream>

#include "core/arena.h"
#include "core/printable.h"
#include "formats/safetensors_source.h"
#include "g3n/error.h"
#include "weights/bundle_checksum.h"

namespace g3n {
namespace {

constexpr const char* kKinds[] = {"matrix", "vector", "depthwise", "table"};
constexpr const char* kLayouts[] = {"panels", "rows", "neurons", "blocks"};

constexpr int64_t kAlign = static_cast<int64_t>(kAlignment);

template <typename E, size_t N>
bool read_word(const char* const (&words)[N], const std::string& word, E& out) {
  for (size_t i = 0; i < N; ++i)
    if (word == words[i]) {
      out = static_cast<E>(i);
      return true;
    }
  return false;
}

// Is there code that reads such a tensor? Rows of blocks are whole blocks.
bool can_be_read(const PackedTensor& t) {
  const bool whole_blocks =
      is_block_type(t.dtype) && element_count(t.shape, 1) % dtype_facts(t.dtype).block_values == 0;
  switch (t.kind) {
    case PackedKind::kMatrix:
      if (t.layout == Layout::kBlocks) return whole_blocks;
      return has_kernels(t.dtype, t.layout) && (whole_blocks || !is_file_type(t.dtype));
    case PackedKind::kTable:
      return t.layout == Layout::kRows &&
             (whole_blocks || t.dtype == DType::kF32 || t.dtype == DType::kBF16 || t.dtype == DType::kF16);
    default: return t.layout == Layout::kRows && t.dtype == DType::kF32;
  }
}

// Do so many bytes, padded, take so many of the file? bytes may be INT64_MAX.
bool fills(int64_t bytes, int64_t in_file) { return bytes <= in_file && round_up(bytes, kAlign) == in_file; }

}  // namespace

std::string format_name(DType dtype) {
  switch (dtype) {
    case DType::kQ4_0: return "q4";
    case DType::kQ8_0: return "q8";
    case DType::kBF16: return "bf16";
    case DType::kF16: return "f16";
    case DType::kF32: return "f32";
    default: return dtype_name(dtype);
  }
}

std::optional<DType> format_of_name(const std::string& name) {
  for (int i = 0; i < kDTypes; ++i)
    if (format_name(static_cast<DType>(i)) == name) return static_cast<DType>(i);
  return std::nullopt;
}

std::string describe(const PackedTensor& t) {
  std::string text = std::string(kKinds[static_cast<int>(t.kind)]) + " " + format_name(t.dtype) + " " +
                     kLayouts[static_cast<int>(t.layout)] + " ";
  for (size_t i = 0; i < t.shape.size(); ++i) {
    if (i > 0) text += ',';
    text += std::to_string(t.shape[i]);
  }
  return text;
}

PackedTensor parse_description(const std::string& name, const std::string& text) {
  PackedTensor t{.name = name};
  std::istringstream words(text);
  std::string kind, format, layout, shape, more;
  words >> kind >> format >> layout >> shape;
  const std::optional<DType> dtype = format_of_name(format);
  bool good = read_word(kKinds, kind, t.kind) && read_word(kLayouts, layout, t.layout) && dtype && !(words >> more) &&
              !shape.empty();
  for (size_t begin = 0; good && begin <= shape.size();) {
    const size_t end = std::min(shape.find(',', begin), shape.size());
    int64_t extent = 0;
    const auto [stop, error] = std::from_chars(shape.data() + begin, shape.data() + end, extent);
    good = error == std::errc{} && stop == shape.data() + end && extent > 0 && extent < (int64_t{1} << 32);
    t.shape.push_back(extent);
    begin = end + 1;
  }
  if (good) t.dtype = *dtype;
  if (!good || t.shape.size() > 4 || !can_be_read(t))
    throw Error(ErrorCode::kBadFile,
                name + ": expected a description such as 'matrix q4 panels 8192,2048', found '" + text + "'");
  return t;
}

int64_t bytes_of(const PackedTensor& t) {
  const int64_t rows = t.shape[0], cols = element_count(t.shape, 1), count = element_count(t.shape);
  if (count > (int64_t{1} << 40)) return INT64_MAX;  // nothing that large is written, and no product below overflows
  switch (t.kind) {
    case PackedKind::kMatrix: return packed_bytes(t.dtype, t.layout, rows, cols);
    case PackedKind::kTable: return rows * dtype_bytes(t.dtype, cols);
    default: return count * 4;
  }
}

bool Bundle::is_bundle(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  char start[8 + 64] = {};
  file.read(start, sizeof start);
  return std::string_view(start + 8, sizeof start - 8).starts_with("{\"__metadata__\":{\"bundle.");
}

std::shared_ptr<const Bundle> Bundle::open(const std::string& path) {
  auto bundle = std::make_shared<Bundle>();
  bundle->path_ = path;
  std::map<std::string, std::string> metadata;
  bundle->source_ = open_safetensors_file(path, &metadata);
  const auto value = [&](const std::string& key) {
    const auto found = metadata.find(key);
    return found == metadata.end() ? std::string() : found->second;
  };
  if (value("bundle.version") != std::to_string(kBundleVersion))
    throw Error(ErrorCode::kUnsupported, path + ": expected a bundle of version " + std::to_string(kBundleVersion) +
                                             ", found version '" + value("bundle.version") +
                                             "': make it again with g3n convert");
  bundle->recipe_ = value("bundle.recipe");
  bundle->checksum_ = value("bundle.checksum");
  for (const auto& [name, tensor] : bundle->source_->tensors()) {
    if (tensor.dtype != DType::kU8 || tensor.shape.size() != 1)
      throw Error(ErrorCode::kBadFile, path + ": " + name + ": expected bytes (U8, one axis), found " +
                                           dtype_name(tensor.dtype) + " " + shape_text(tensor.shape));
    if (name.starts_with(kFileBeginning)) {
      const std::string length = value(name);
      int64_t bytes = -1;
      std::from_chars(length.data(), length.data() + length.size(), bytes);
      if (bytes < 0 || !fills(bytes, tensor.bytes))
        throw Error(ErrorCode::kBadFile, path + ": " + name + ": expected a length that fits " +
                                             std::to_string(tensor.bytes) + " bytes, found '" + length + "'");
      bundle->files_.emplace(name.substr(std::string_view(kFileBeginning).size()),
                             std::span(tensor.data, static_cast<size_t>(bytes)));
      continue;
    }
    if (!metadata.contains(name))
      throw Error(ErrorCode::kBadFile, path + ": " + name + ": nothing says what its bytes are");
    PackedTensor what;
    try {
      what = parse_description(name, metadata.at(name));
    } catch (const Error& e) {
      throw Error(e.code(), path + ": " + e.what());
    }
    what.bytes = bytes_of(what);
    if (!fills(what.bytes, tensor.bytes))
      throw Error(ErrorCode::kBadFile, path + ": " + name + ": expected " + std::to_string(what.bytes) +
                                           " bytes for '" + metadata.at(name) + "' (and padding to 64), found " +
                                           std::to_string(tensor.bytes));
    if (reinterpret_cast<uintptr_t>(tensor.data) % kAlignment != 0)
      throw Error(ErrorCode::kBadFile, path + ": " + name + ": expected data at a multiple of 64 bytes");
    bundle->entries_.emplace(name, Entry{std::move(what), &tensor});
  }
  return bundle;
}

const Bundle::Entry* Bundle::find(const std::string& name) const {
  const auto found = entries_.find(name);
  return found == entries_.end() ? nullptr : &found->second;
}

void Bundle::verify(const std::function<void(int64_t, int64_t)>& progress) const {
  constexpr int64_t kPiece = 64 << 20;
  std::vector<const TensorInfo*> in_file_order;
  int64_t total = 0, done = 0;
  for (const auto& [name, tensor] : source_->tensors()) in_file_order.push_back(&tensor), total += tensor.bytes;
  std::sort(in_file_order.begin(), in_file_order.end(),
            [](const TensorInfo* a, const TensorInfo* b) { return a->data < b->data; });
  BundleChecksum found;
  for (const TensorInfo* tensor : in_file_order)
    for (int64_t at = 0; at < tensor->bytes; at += kPiece) {
      TensorInfo piece = *tensor;
      piece.data += at;
      piece.bytes = std::min(kPiece, tensor->bytes - at);
      source_->will_need(piece);
      found.update({piece.data, static_cast<size_t>(piece.bytes)});
      source_->drop(piece);
      done += piece.bytes;
      if (progress) progress(done, total);
    }
  if (found.text() != checksum_)
    throw Error(ErrorCode::kBadFile, path_ + ": expected data with checksum " + checksum_ + ", found " + found.text() +
                                         ": the file is damaged; copy it again or make it again with g3n convert");
}

FileSet Bundle::files() const { return FileSet(path_, files_, source_); }

}  // namespace g3n

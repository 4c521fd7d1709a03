#include "formats/safetensors.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <set>
#include <string_view>
#include <unordered_set>

#include "core/file_kind.h"
#include "core/printable.h"
#include "json/events.h"
#include "g3n/error.h"

namespace g3n {
namespace {

constexpr size_t kMaxNameBytes = 65536;
constexpr size_t kMaxRank = 32;
constexpr DType kReadable[] = {DType::kF32, DType::kBF16, DType::kF16, DType::kI8,  DType::kU8,
                               DType::kI32, DType::kI64,  DType::kF64, DType::kBool};

std::optional<DType> dtype_from_name(const std::string& name) {
  for (const DType type : kReadable)
    if (name == dtype_name(type)) return type;
  return {};
}

struct HeaderEntry {
  TensorInfo info;
  std::string dtype;
  uint64_t begin = 0, end = 0;
};

// Fills the entries of {"NAME": {"dtype": "F32", "shape": [..], "data_offsets": [b, e]}, ..., "__metadata__": {..}}.
class HeaderEvents : public JsonEvents {
 public:
  HeaderEvents(const std::string& path, std::vector<HeaderEntry>& entries, std::map<std::string, std::string>& metadata)
      : path_(path), entries_(entries), metadata_(metadata) {}

  void on_object_begin() override {
    ++depth_;
    if (skipping()) return;
    if (depth_ == 3 && !in_metadata_ && field_ == Field::kOther) return skip();
    if (depth_ > 2) unexpected("an object");
    if (depth_ == 2 && !in_metadata_) seen_ = 0;
  }
  void on_object_end() override {
    if (!skipping() && depth_ == 2 && !in_metadata_ && seen_ != 7) fail("expected dtype, shape and data_offsets");
    leave();
  }
  void on_list_begin() override {
    ++depth_;
    if (skipping()) return;
    if (depth_ != 3 || in_metadata_ || field_ == Field::kDtype) unexpected("a list");
    if (field_ == Field::kOther) return skip();
    values_.clear();
  }
  void on_list_end() override {
    if (!skipping()) {
      if (field_ == Field::kShape) entry().info.shape.assign(values_.begin(), values_.end());
      if (field_ == Field::kOffsets) {
        if (values_.size() != 2) fail("data_offsets: expected 2 numbers, found " + std::to_string(values_.size()));
        entry().begin = static_cast<uint64_t>(values_[0]);
        entry().end = static_cast<uint64_t>(values_[1]);
      }
    }
    leave();
  }
  void on_key(std::string& key) override {
    if (skipping()) return;
    if (depth_ == 1) return begin_entry(key);
    if (in_metadata_) {
      metadata_key_ = std::move(key);
      return;
    }
    field_ = key == "dtype"          ? Field::kDtype
             : key == "shape"        ? Field::kShape
             : key == "data_offsets" ? Field::kOffsets
                                     : Field::kOther;
    if (field_ == Field::kOther) return;
    const int bit = 1 << static_cast<int>(field_);
    if (seen_ & bit) fail(key + " appears twice");
    seen_ |= bit;
  }
  void on_text(std::string& value) override {
    if (skipping()) return;
    if (depth_ == 2 && in_metadata_) {
      metadata_[metadata_key_] = std::move(value);
    } else if (depth_ == 2 && field_ == Field::kDtype) {
      entry().dtype = std::move(value);
    } else if (depth_ != 2 || field_ != Field::kOther) {
      unexpected("a string");
    }
  }
  void on_integer(int64_t value) override {
    if (skipping()) return;
    if (depth_ == 3 && value >= 0) {
      if (values_.size() >= kMaxRank) fail("a list of more than " + std::to_string(kMaxRank) + " numbers");
      values_.push_back(value);
    } else {
      scalar(depth_ == 3 ? std::to_string(value) : "a number");
    }
  }
  void on_number(double value) override { scalar("the number " + std::to_string(value)); }
  void on_null() override {
    // "__metadata__": null is allowed.
    if (!(depth_ == 1 && in_metadata_)) scalar("null");
  }
  void on_boolean(bool) override { scalar("true or false"); }

 private:
  enum class Field { kDtype, kShape, kOffsets, kOther };

  bool skipping() const { return skip_depth_ != 0; }
  void skip() { skip_depth_ = depth_; }
  void leave() {
    if (skip_depth_ == depth_) skip_depth_ = 0;
    --depth_;
  }
  HeaderEntry& entry() { return entries_.back(); }
  void begin_entry(std::string& key) {
    if (key.size() > kMaxNameBytes)
      throw Error(ErrorCode::kBadFile, path_ + ": a tensor name of " + std::to_string(key.size()) +
                                           " bytes, expected at most " + std::to_string(kMaxNameBytes));
    in_metadata_ = key == "__metadata__";
    if (!names_.insert(key).second)
      throw Error(ErrorCode::kBadFile, path_ + ": " + printable_start(key) + ": the header names it twice");
    if (in_metadata_) return;
    entries_.emplace_back();
    entry().info.name = std::move(key);
  }
  void scalar(const std::string& what) {
    if (skipping() || (depth_ == 2 && !in_metadata_ && field_ == Field::kOther)) return;
    unexpected(what);
  }
  [[noreturn]] void unexpected(const std::string& found) const {
    fail((in_metadata_ ? "expected an object of strings"
                       : "expected {\"dtype\": a string, \"shape\": [integers >= 0], \"data_offsets\": [begin, end]}") +
         std::string(", found ") + found);
  }
  [[noreturn]] void fail(const std::string& what) const {
    throw Error(ErrorCode::kBadFile,
                path_ + ": " +
                    (in_metadata_ || entries_.empty() ? "__metadata__" : printable_start(entries_.back().info.name)) +
                    ": " + what);
  }

  const std::string& path_;
  std::vector<HeaderEntry>& entries_;
  std::map<std::string, std::string>& metadata_;
  std::unordered_set<std::string> names_;
  std::string metadata_key_;
  std::vector<int64_t> values_;
  int depth_ = 0, skip_depth_ = 0, seen_ = 0;
  Field field_ = Field::kOther;
  bool in_metadata_ = false;
};

// The header's text, after the checks on its length.
std::string_view header_text(std::span<const std::byte> file, const std::string& path) {
  refuse_lfs_pointer(file, path);
  const auto bad = [&](const std::string& what) { throw Error(ErrorCode::kBadFile, path + ": " + what); };
  const std::string size_text = std::to_string(file.size());
  const FileKind kind = file_kind(file.first(std::min<size_t>(file.size(), 64)));
  if (kind == FileKind::kGguf) bad("expected a safetensors file, found GGUF");
  if (kind == FileKind::kZip || kind == FileKind::kPickle) bad("expected a safetensors file, found a PyTorch pickle");
  if (file.size() < 8) bad("the file is " + size_text + " bytes, a safetensors header needs at least 8");
  uint64_t length;
  std::memcpy(&length, file.data(), 8);
  if (length > kMaxSafetensorsHeader)
    bad("not a safetensors file: header of " + std::to_string(length) + " bytes, at most " +
        std::to_string(kMaxSafetensorsHeader) + " are allowed");
  if (length > file.size() - 8)
    bad("truncated: the file is " + size_text + " bytes, its header needs " + std::to_string(length + 8));
  const std::string_view text(reinterpret_cast<const char*>(file.data()) + 8, length);
  if (text.empty() || text[0] != '{') bad("safetensors header: expected a JSON object");
  return text;
}

// dtype, byte size against shape; gives the entry its data.
void resolve(HeaderEntry& entry, std::span<const std::byte> data, const std::string& path) {
  static const std::set<std::string> kKnown = {"U16",     "I16",         "U32",        "U64",     "F8_E4M3",
                                               "F8_E5M2", "F8_E8M0",     "F4",         "F6_E2M3", "F6_E3M2",
                                               "C64",     "F8_E4M3FNUZ", "F8_E5M2FNUZ"};
  const std::string where = path + ": " + printable_start(entry.info.name);
  const std::optional<DType> dtype = dtype_from_name(entry.dtype);
  if (!dtype && kKnown.contains(entry.dtype))
    throw Error(ErrorCode::kUnsupported,
                where + ": dtype " + entry.dtype +
                    " (a quantised checkpoint?): expected the unquantised model in BF16, F32 or F16");
  if (!dtype) throw Error(ErrorCode::kBadFile, where + ": unknown dtype \"" + printable_start(entry.dtype) + "\"");
  entry.info.dtype = *dtype;
  int64_t bytes = dtype_bytes(*dtype);
  for (const int64_t extent : entry.info.shape)
    if (__builtin_mul_overflow(bytes, extent, &bytes))
      throw Error(ErrorCode::kBadFile, where + ": shape " + shape_text(entry.info.shape) + " overflows");
  if (static_cast<uint64_t>(bytes) != entry.end - entry.begin)
    throw Error(ErrorCode::kBadFile, where + ": " + entry.dtype + " " + shape_text(entry.info.shape) + " needs " +
                                         std::to_string(bytes) + " bytes, data_offsets give " +
                                         std::to_string(entry.end - entry.begin));
  entry.info.bytes = bytes;
  entry.info.data = data.data() + entry.begin;
  entry.info.file = path;
}

}  // namespace

SafetensorsContents parse_safetensors(std::span<const std::byte> file, const std::string& path) {
  const std::string_view text = header_text(file, path);
  std::vector<HeaderEntry> entries;
  SafetensorsContents out;
  HeaderEvents events(path, entries, out.metadata);
  parse_json(text, path + ": safetensors header", events);

  // Data in order, each tensor beginning where the one before ends: no holes, no overlaps, and the last ends with the
  // file.
  std::stable_sort(entries.begin(), entries.end(), [](const HeaderEntry& a, const HeaderEntry& b) {
    return a.begin != b.begin ? a.begin < b.begin : a.end < b.end;
  });
  const uint64_t data_bytes = file.size() - 8 - text.size();
  uint64_t at = 0;
  for (const HeaderEntry& entry : entries) {
    const std::string offsets = "data_offsets [" + std::to_string(entry.begin) + ", " + std::to_string(entry.end) + "]";
    const std::string where = path + ": " + printable_start(entry.info.name) + ": ";
    if (entry.end < entry.begin) throw Error(ErrorCode::kBadFile, where + offsets + ": the end is before the begin");
    if (entry.begin < at)
      throw Error(ErrorCode::kBadFile,
                  where + offsets + " overlap the tensor before, which ends at " + std::to_string(at));
    if (entry.begin > at)
      throw Error(ErrorCode::kBadFile, where + offsets + " leave a hole after byte " + std::to_string(at));
    at = entry.end;
  }
  if (at != data_bytes) {
    const uint64_t needed = at + 8 + text.size();  // at is below 2^63: both offsets are int64
    throw Error(ErrorCode::kBadFile,
                path + (at > data_bytes ? ": truncated: the file is " : ": too long: the file is ") +
                    std::to_string(file.size()) + " bytes, its header needs " + std::to_string(needed));
  }
  out.tensors.reserve(entries.size());
  for (HeaderEntry& entry : entries) {
    resolve(entry, file.subspan(8 + text.size()), path);
    out.tensors.push_back(std::move(entry.info));
  }
  return out;
}

}  // namespace g3n

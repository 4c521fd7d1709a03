#include "formats/gguf.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <unordered_set>

#include "core/file_kind.h"
#include "core/printable.h"
#include "formats/gguf_types.h"
#include "g3n/error.h"

namespace g3n {
namespace {

using namespace gguf;

constexpr uint64_t kMaxAlignment = uint64_t{1} << 20;
constexpr size_t kMaxArrayDepth = 8;
constexpr uint64_t kSmallestKey = 8 + 1 + 4 + 1, kSmallestTensor = 8 + 1 + 4 + 8 + 4 + 8;

template <typename T>
T load(const std::byte* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

// The extents of a tensor without overflow: its bytes, or none when the product does not fit.
std::optional<int64_t> product(const std::vector<int64_t>& ne, int64_t unit) {
  int64_t out = unit;
  for (const int64_t extent : ne)
    if (__builtin_mul_overflow(out, extent, &out)) return {};
  return out;
}

}  // namespace

DType GgufTensor::dtype_or_fail() const {
  if (dtype) return *dtype;
  const bool is_removed = type == 4 || type == 5 || (type >= 31 && type <= 33) || (type >= 36 && type <= 38);
  throw Error(ErrorCode::kUnsupported, file + ": " + printable_start(name) + ": " +
                                           (is_removed ? "removed" : "unknown") + " tensor type " +
                                           std::to_string(type) + ", expected one of those in docs/formats.md");
}

// Walks the bytes in front of the data.
class GgufReader {
 public:
  GgufReader(std::span<const std::byte> file, const std::string& path) : file_(file), path_(path) {}

  GgufContents read() {
    read_counts();
    GgufContents out;
    out.metadata.where_ = path_;
    for (uint64_t i = 0; i < key_count_; ++i) read_key(out.metadata);
    out.metadata.bytes_ = file_.first(at_);
    read_alignment(out.metadata);
    out.tensors.reserve(tensor_count_);
    for (uint64_t i = 0; i < tensor_count_; ++i) read_tensor(out.tensors);
    place(out.tensors);
    return out;
  }

 private:
  struct Place {
    uint64_t offset;
    size_t tensor;
  };

  [[noreturn]] void bad(const std::string& what) const { throw Error(ErrorCode::kBadFile, path_ + ": " + what); }
  uint64_t remaining() const { return file_.size() - at_; }

  template <typename T>
  T number(const char* what) {
    return load<T>(bytes(sizeof(T), what).data());
  }
  std::span<const std::byte> bytes(uint64_t count, const char* what) {
    if (count > remaining())
      bad("truncated: the file of " + std::to_string(file_.size()) + " bytes ends inside " + what +
          ", which begins at byte " + std::to_string(at_) + " and needs " + std::to_string(count));
    const auto out = file_.subspan(at_, count);
    at_ += count;
    return out;
  }
  std::string_view text(const char* what) {
    const uint64_t length = number<uint64_t>(what);
    if (length > remaining())
      bad(std::string(what) + ": a string of " + std::to_string(length) + " bytes is longer than the file, which has " +
          std::to_string(remaining()) + " left");
    const auto out = bytes(length, what);
    return {reinterpret_cast<const char*>(out.data()), out.size()};
  }

  void read_counts() {
    refuse_lfs_pointer(file_, path_);
    if (file_.size() < 24) {
      if (file_.size() >= 4 && std::memcmp(file_.data(), "GGUF", 4) == 0)
        bad("truncated: a file of " + std::to_string(file_.size()) + " bytes ends inside the header of 24");
      bad("a file of " + std::to_string(file_.size()) + " bytes is shorter than a GGUF header of 24");
    }
    if (std::memcmp(bytes(4, "the magic").data(), "GGUF", 4) != 0)
      bad("not a GGUF file: expected the magic \"GGUF\" in front");
    const auto version = number<uint32_t>("the version");
    if (version == 0x02000000 || version == 0x03000000)
      throw Error(ErrorCode::kUnsupported, path_ + ": a big-endian GGUF file, expected a little-endian one");
    if (version != 2 && version != 3)
      throw Error(ErrorCode::kUnsupported,
                  path_ + ": GGUF version " + std::to_string(version) + ", expected version 2 or 3");
    tensor_count_ = number<uint64_t>("the tensor count");
    key_count_ = number<uint64_t>("the key count");
    if (key_count_ > remaining() / kSmallestKey)
      bad(std::to_string(key_count_) + " keys are more than the file can hold");
    if (tensor_count_ > remaining() / kSmallestTensor)
      bad(std::to_string(tensor_count_) + " tensors are more than the file can hold");
  }

  void read_key(GgufMetadata& metadata) {
    const std::string_view view = text("a key");
    if (view.empty() || view.size() > 65535)
      bad("expected keys of 1 to 65535 bytes, found " + (view.empty() ? "an empty key" : std::to_string(view.size())));
    const std::string key(view);
    if (metadata.values_.contains(key)) bad(printable_start(key) + ": the key stands there twice");
    key_ = &key;
    GgufMetadata::Value value;
    value.type = number<uint32_t>("a value type");
    if (value.type == kArray) {
      value.is_list = true;
      value.type = number<uint32_t>("an element type");
      value.count = number<uint64_t>("an element count");
    }
    const size_t begin = at_;
    skip(value.type, value.count);
    value.bytes = file_.subspan(begin, at_ - begin);
    metadata.values_.emplace(key, value);
  }

  // Passes over `count` values. Arrays in arrays are passed too, without recursion.
  void skip(uint32_t type, uint64_t count) {
    std::vector<uint64_t> open;  // arrays still to pass, by depth
    for (;;) {
      if (type != kArray) {
        skip_plain(type, count);
      } else {
        if (count > remaining() / 12)
          bad(in_key() + "an array of " + std::to_string(count) + " arrays is longer than the file");
        open.push_back(count);
        if (open.size() >= kMaxArrayDepth)
          bad(in_key() + "arrays nested more than " + std::to_string(kMaxArrayDepth) + " deep");
      }
      while (!open.empty() && open.back() == 0) open.pop_back();
      if (open.empty()) return;
      --open.back();
      type = number<uint32_t>("an element type");
      count = number<uint64_t>("an element count");
    }
  }
  void skip_plain(uint32_t type, uint64_t count) {
    if (type >= kValueTypes) bad(in_key() + "unknown value type " + std::to_string(type));
    const uint64_t smallest = type == kText ? 8 : kValueFacts[type].bytes;
    if (count > remaining() / smallest)
      bad(in_key() + (count == 1 ? "the value" : "an array of " + std::to_string(count) + " elements") +
          " is longer than the file");
    if (type != kText) {
      at_ += count * smallest;
      return;
    }
    const std::string what = in_key() + "its text";
    for (uint64_t i = 0; i < count; ++i) text(what.c_str());
  }
  std::string in_key() const { return printable_start(*key_) + ": "; }

  void read_alignment(const GgufMetadata& metadata) {
    const std::string key = "general.alignment";
    const auto found = metadata.values_.find(key);
    if (found == metadata.values_.end()) return;
    if (found->second.type != kU32 || found->second.is_list) metadata.fail(key, "a u32");
    alignment_ = load<uint32_t>(found->second.bytes.data());
    if (alignment_ == 0 || (alignment_ & (alignment_ - 1)) != 0 || alignment_ > kMaxAlignment)
      metadata.fail(key, "a power of two up to " + std::to_string(kMaxAlignment));
  }

  void read_tensor(std::vector<GgufTensor>& tensors) {
    GgufTensor tensor;
    tensor.name = text("a tensor's name");
    tensor.file = path_;
    if (tensor.name.empty() || tensor.name.size() > 255)
      bad("expected tensor names of 1 to 255 bytes, found one of " + std::to_string(tensor.name.size()));
    const std::string in = printable_start(tensor.name) + ": ";
    if (!names_.insert(tensor.name).second) bad(in + "the tensor name stands there twice");
    const auto rank = number<uint32_t>("a tensor's dimensions");
    if (rank < 1 || rank > 4) bad(in + "expected 1 to 4 dimensions, found " + std::to_string(rank));
    for (uint32_t i = 0; i < rank; ++i) {
      const auto extent = number<uint64_t>("a tensor's dimensions");
      if (extent < 1 || extent > static_cast<uint64_t>(std::numeric_limits<int64_t>::max()))
        bad(in + "expected dimensions from 1 to 2^63 - 1, found " + std::to_string(extent));
      tensor.ne.push_back(static_cast<int64_t>(extent));
    }
    tensor.type = number<uint32_t>("a tensor's type");
    tensor.dtype = dtype_of(tensor.type);
    places_.push_back({number<uint64_t>("a tensor's offset"), tensors.size()});
    if (!product(tensor.ne, 1)) bad(in + "the product of its dimensions " + shape_text(tensor.ne) + " overflows");
    if (tensor.dtype) {
      const DTypeFacts facts = dtype_facts(*tensor.dtype);
      if (tensor.ne[0] % facts.block_values != 0)
        bad(in + "rows of " + std::to_string(tensor.ne[0]) + " values are not whole blocks of " + facts.name + " (" +
            std::to_string(facts.block_values) + ")");
      std::vector<int64_t> blocks = tensor.ne;
      blocks[0] /= facts.block_values;
      const auto bytes = product(blocks, facts.block_bytes);
      if (!bytes) bad(in + "the bytes of " + facts.name + " " + shape_text(tensor.ne) + " overflow");
      tensor.bytes = *bytes;
    }
    tensors.push_back(std::move(tensor));
  }

  // Gives every tensor its bytes; they may stand in any order and with gaps, but not over each other.
  void place(std::vector<GgufTensor>& tensors) {
    if (tensors.empty()) return;
    const uint64_t begin = (at_ + alignment_ - 1) & ~(alignment_ - 1);
    if (begin > file_.size())
      bad("truncated: the data section starts at byte " + std::to_string(begin) + ", after the file of " +
          std::to_string(file_.size()));
    const auto data = file_.subspan(begin);
    std::sort(places_.begin(), places_.end(), [](const Place& a, const Place& b) { return a.offset < b.offset; });
    uint64_t end = 0;
    for (const Place& place : places_) {
      GgufTensor& tensor = tensors[place.tensor];
      const std::string in = printable_start(tensor.name) + ": offset " + std::to_string(place.offset);
      if (place.offset % alignment_ != 0) bad(in + " is no multiple of the alignment " + std::to_string(alignment_));
      if (place.offset > data.size() || static_cast<uint64_t>(tensor.bytes) > data.size() - place.offset)
        bad("truncated: " + in + " and " + std::to_string(tensor.bytes) +
            " bytes end after the file, whose data section has " + std::to_string(data.size()) + " bytes");
      if (place.offset < end) bad(in + " overlaps the tensor before, which ends at " + std::to_string(end));
      end = place.offset + static_cast<uint64_t>(tensor.bytes);
      tensor.data = data.data() + place.offset;
    }
  }

  std::span<const std::byte> file_;
  const std::string& path_;
  const std::string* key_ = nullptr;
  size_t at_ = 0;
  uint64_t tensor_count_ = 0, key_count_ = 0, alignment_ = 32;
  std::unordered_set<std::string> names_;
  std::vector<Place> places_;
};

GgufContents parse_gguf(std::span<const std::byte> file, const std::string& path) {
  return GgufReader(file, path).read();
}

}  // namespace g3n

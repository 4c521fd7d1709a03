// Bundle (.g3n): packed weights of a model, its configs and its tokenizer in one file (docs/formats.md). A safetensors
// file whose tensors are bytes; what they hold is in its metadata: NAME -> "kind type layout shape", for instance
// "matrix q4 panels 8192,2048". Loading maps the file and points at it.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "core/dtype.h"
#include "core/weight.h"
#include "core/file_set.h"
#include "formats/tensor_source.h"
#include "weights/binder.h"

namespace g3n {

inline constexpr int kBundleVersion = 1;
// Names in a bundle: a weight by its canonical name, a table with this behind it (embed_tokens is both), a small file
// with this in front.
inline constexpr const char* kTableEnding = "@table";
inline constexpr const char* kFileBeginning = "file/";

enum class PackedKind { kMatrix, kVector, kDepthwise, kTable };

// What a tensor of a bundle holds.
struct PackedTensor {
  std::string name;  // as in the bundle
  PackedKind kind = PackedKind::kMatrix;
  DType dtype = DType::kF32;
  Layout layout = Layout::kPanels;
  Shape shape;  // as in the checkpoint it was made from
  int64_t bytes = 0;
};
// The format names of recipes, bundles and reports: "q4", "q8", "bf16", "f32", else GGUF's own name.
std::string format_name(DType dtype);
std::optional<DType> format_of_name(const std::string& name);
std::string describe(const PackedTensor& tensor);                                  // "matrix q4 panels 8192,2048"
PackedTensor parse_description(const std::string& name, const std::string& text);  // bytes stay 0; throws kBadFile
int64_t bytes_of(const PackedTensor& tensor);                                      // what a tensor so described takes

class Bundle {
 public:
  // Is this file a bundle, by its first bytes?
  static bool is_bundle(const std::string& path);
  // Maps it and checks every description against its bytes. Throws kBadFile naming the tensor, kUnsupported for another
  // version.
  static std::shared_ptr<const Bundle> open(const std::string& path);

  const std::string& path() const { return path_; }
  const std::string& recipe() const { return recipe_; }
  const std::string& checksum() const { return checksum_; }
  FileSet files() const;
  // Reads all of it and compares it with the checksum. Throws kBadFile. progress: bytes read, bytes in all.
  void verify(const std::function<void(int64_t, int64_t)>& progress = {}) const;

  struct Entry {
    PackedTensor what;
    const TensorInfo* bytes;  // of the mapped file
  };
  const std::map<std::string, Entry>& entries() const { return entries_; }
  const Entry* find(const std::string& name) const;
  const std::shared_ptr<const TensorSource>& source() const { return source_; }

 private:
  std::string path_, recipe_, checksum_;
  std::shared_ptr<const TensorSource> source_;
  std::map<std::string, Entry> entries_;
  std::map<std::string, std::span<const std::byte>> files_;
};

}  // namespace g3n

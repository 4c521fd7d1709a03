// What a model's files hold and what it will take, from configs and headers alone: no weight is read.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "g3n/options.h"

namespace g3n {

struct InspectOptions {
  std::string model;                    // as EngineOptions::model
  std::string mmproj;                   // as EngineOptions::mmproj
  std::vector<std::string> hub_caches;  // as EngineOptions::hub_caches
  std::vector<std::string> ollama_folders;
  std::int64_t context = 0;  // positions of the KV cache that is asked about; 0: the model's
  Compute compute = Compute::kF32;
  CacheType kv_cache = CacheType::kAuto;
  bool verify = false;  // read a bundle as a whole and compare it with its checksum
  std::function<void(const std::string&)> on_warning;
  std::function<void(std::int64_t done_bytes, std::int64_t total_bytes)> on_progress;  // of verify
};

struct ModelTensor {
  std::string name;  // canonical: as in a Hugging Face checkpoint of 2025
  std::string dtype;
  std::vector<std::int64_t> shape;
  std::int64_t bytes = 0;
  std::string file;
  enum class Use { kBound, kDead, kUnknown } use = Use::kBound;  // dead: of the model, never read; unknown: not of it
};

struct ModelComponent {
  std::string name;  // "attention", "vision tower", ...
  std::int64_t tensors = 0, parameters = 0;
  std::int64_t file_bytes = 0;
  std::int64_t memory_bytes = 0;     // packed, once loaded
  std::int64_t mapped_bytes = 0;     // read where they lie in the file
  std::int64_t token_bytes = 0;      // read for one decoded token: of tables a row, of layers with sparsity a share
  std::vector<std::string> formats;  // of the file, the one that takes most first
};

// Weights that cost more than their bytes in the file say, and why.
struct SlowWeights {
  std::string component, format;  // as in ModelComponent
  std::int64_t tensors = 0;
  std::int64_t memory_bytes = 0;  // they take, once loaded
  std::int64_t token_bytes = 0;
  std::string why;
};

struct ModelContents {
  std::string path;
  enum class Kind { kFolder, kBundle, kGguf } kind = Kind::kFolder;
  std::string recipe, checksum;  // of a bundle
  bool is_verified = false;
  bool has_text = true;  // false: a file of towers alone (mmproj)
  bool has_tokenizer = false, has_vision = false, has_audio = false;
  std::string mmproj;                      // the file of the towers, if it is another one
  std::vector<std::string> mmproj_beside;  // files that lie beside a GGUF file without towers

  struct Text {
    std::int64_t layers = 0, full_layers = 0, kv_layers = 0, sparse_layers = 0;
    std::int64_t hidden_size = 0, heads = 0, kv_heads = 0, head_dim = 0;
    std::vector<std::int64_t> intermediate_size;  // by layer
    std::int64_t sliding_window = 0, altup_inputs = 0, laurel_rank = 0, per_layer_inputs = 0;
    std::int64_t vocab_size = 0, max_position_embeddings = 0;
  } text;
  struct Vision {
    std::int64_t width = 0, height = 0, soft_tokens = 0;
  } vision;
  struct Audio {
    std::int64_t layers = 0, hidden_size = 0, soft_tokens = 0;
  } audio;
  Sampling sampling;
  std::vector<std::int32_t> stop_ids;

  std::vector<ModelComponent> components;
  ModelComponent total, dead, unknown;  // all components; tensors that are never read; tensors of no model
  std::vector<std::string> missing;     // names
  std::vector<SlowWeights> slow;        // what takes most for a token first
  std::vector<ModelTensor> tensors;     // of the files, by name

  struct KvCache {
    std::int64_t positions = 0, bytes = 0;  // of one conversation that fills the context
    std::string dtype;
  } kv_cache;
};

const char* model_kind_name(ModelContents::Kind kind);  // "folder", "bundle", "GGUF"

// Throws kNotFound, kBadFile, kUnsupported as Engine::open; kInvalidArgument when something else than a bundle is to be
// verified, and for a context longer than the model's.
ModelContents inspect_model(const InspectOptions& options);

}  // namespace g3n

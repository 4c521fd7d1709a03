// OpenedModel: what the runtime knows of a checkpoint: its numbers, its tokenizer, media to what encoders are fed, and
// the model behind the seam. Towers, weights and containers stay on this side.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "checkpoint/find_model.h"
#include "checkpoint/generation_config.h"
#include "core/dtype.h"
#include "core/log.h"
#include "g3n/options.h"
#include "model/media_input.h"
#include "model/media_kinds.h"
#include "seam/language_model.h"

namespace g3n {

class Gemma3n;
class Tokenizer;

struct ModelNumbers {
  int64_t max_positions = 0;  // max_position_embeddings
  int64_t vocab_size = 0, hidden_size = 0;
  int image_size = 0;  // pixels a side, as the checkpoint wants pictures
  int64_t least_clip_samples = 0, most_clip_samples = 0;
};

// What a model on this machine came to use.
struct CpuUse {
  std::string kernels;  // name of the table
  int threads = 0;
};

// What K and V are kept in: as activations unless asked otherwise.
DType cache_dtype(CacheType type, Compute compute);
const char* kernel_table_name();  // that this machine's CPU (or G3N_ISA) asks for

class OpenedModel {
 public:
  // paths: of a Hugging Face folder, a .g3n bundle or a GGUF file, and of its towers. Reads configs and tokenizer and
  // no weights; every missing, surplus or misshapen tensor is reported now. quantize: a recipe's name or file; empty:
  // as in the file. Throws kNotFound, kBadFile, kUnsupported, kInvalidArgument.
  OpenedModel(const ModelPaths& paths, const EngineOptions& options);
  ~OpenedModel();

  // Packs or maps the weights of the text model. Once. Throws kBadFile, kOutOfMemory.
  std::unique_ptr<LanguageModel> load(const EngineOptions& options, CpuUse& use);

  const std::string& path() const;
  const ModelNumbers& numbers() const { return numbers_; }
  const MediaKinds& kinds() const;
  const GenerationConfig& generation() const;
  bool has_tokenizer() const;
  const Tokenizer& tokenizer() const;  // throws kUnsupported if there is none
  const std::string& recipe() const;   // what the weights are kept in
  std::string chat_template() const;   // its Jinja text; empty: the checkpoint brings none
  int64_t packed_bytes() const;        // of text and of the encoders that are loaded

  // A medium decoded and brought to its encoder's size. Any thread. Throws kBadFile, kInvalidArgument.
  MediaInput read(const MediaPart& part, int image_size, const KnownMedia& known = {}) const;
  // Clips as one batch, padded to the longest (read_clips).
  std::vector<MediaInput> read(std::span<const AudioPart> clips) const;
  // Makes the encoder of a kind ready, on the asking thread. Throws kUnsupported without that encoder.
  void load_encoder(MediaKind kind) const;
  // Gives the memory of encoders back as soon as nobody runs them.
  void release_encoders() const;

 private:
  std::shared_ptr<Gemma3n> model_;
  ModelNumbers numbers_;
};

}  // namespace g3n

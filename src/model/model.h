// Gemma3n: a checkpoint put together: configs, tokenizer, text model, and the two encoders, which are loaded when media
// first come. Const once its weights are loaded: any thread may use it.
#pragma once
#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "audio/audio_tower.h"
#include "checkpoint/checkpoint.h"
#include "core/log.h"
#include "core/thread_pool.h"
#include "json/config.h"
#include "model/media_input.h"
#include "model/media_kinds.h"
#include "text/text_model.h"
#include "vision/vision_tower.h"
#include "weights/recipe.h"
#include "weights/weight_reader.h"

namespace g3n {

struct ModelLoadOptions {
  Recipe recipe{};          // formats that weights get while they are packed; not for bundles, whose weights are packed
  int encoder_threads = 0;  // that pack an encoder; 0: one per usable core
  Log log;
  DecodeLimits decode_limits{};
};

// Of load_weights; called from its thread; may be empty.
struct LoadProgress {
  std::function<void(int64_t needed_bytes, int64_t free_bytes)> on_memory;  // before anything big is read
  std::function<void(int64_t done_bytes, int64_t total_bytes)> on_progress;
};

class Gemma3n {
 public:
  // paths: of a Hugging Face folder, a .g3n bundle or a GGUF file, and of its towers. Reads configs and tokenizer and
  // no weights. Every missing, surplus or misshapen tensor of all parts is reported now. Throws kNotFound, kBadFile,
  // kUnsupported.
  static std::unique_ptr<Gemma3n> open(const ModelPaths& paths, const ModelLoadOptions& options);
  // Packs (a bundle: maps) the text model. Once, before anything is computed. Throws kBadFile, kOutOfMemory.
  void load_weights(ThreadPool& pool, const LoadProgress& progress = {});
  bool has_weights() const { return has_weights_; }

  const std::string& path() const { return checkpoint_.path; }
  const Config& config() const { return checkpoint_.config; }
  const TextModel& text() const { return text_; }
  const GenerationConfig& generation() const { return checkpoint_.generation; }
  const ProcessorConfig& processor() const { return checkpoint_.processor; }
  const MediaKinds& kinds() const { return kinds_; }
  int64_t packed_bytes() const;  // of text and of the encoders that are loaded; never waits
  // What the weights are kept in: the recipe's name, or that of the bundle's.
  const std::string& recipe() const { return checkpoint_.bundle ? checkpoint_.bundle->recipe() : recipe_.name(); }

  std::string chat_template() const { return checkpoint_.chat_template.value_or(""); }

  bool has_tokenizer() const { return checkpoint_.tokenizer != nullptr; }
  const Tokenizer& tokenizer() const;  // throws kUnsupported if there is none

  // read_medium with this checkpoint's configs.
  MediaInput read(const MediaPart& part, int image_size, const KnownMedia& known = {}) const;
  std::vector<MediaInput> read(std::span<const AudioPart> clips) const;  // read_clips

  // An encoder is packed by the thread that asks first, on threads of its own; others that ask meanwhile wait for it.
  // Never from within a step: it takes seconds. Throws kUnsupported without that encoder, kBadFile, kOutOfMemory.
  void load_encoder(MediaKind kind) const;
  // The loaded encoder, loaded if need be. Its weights live as long as the pointer.
  std::shared_ptr<const VisionTower> vision() const;
  std::shared_ptr<const AudioTower> audio() const;
  // Gives the memory of encoders back as soon as nobody runs them; the next medium loads them again.
  void release_encoders() const;

 private:
  // An encoder that comes and goes.
  template <typename Tower>
  struct Slot {
    struct Loaded {
      Tower tower;
      WeightStore store;
    };
    std::mutex mutex;  // held while it is loaded
    std::shared_ptr<const Loaded> loaded;
    std::atomic<int64_t> bytes{0};
  };

  explicit Gemma3n(Checkpoint checkpoint);
  void check_tensors();
  void check_tensors_of(const WeightFiles& files, bool has_text, bool has_vision, bool has_audio);
  template <typename Tower, typename TowerConfig>
  std::shared_ptr<const Tower> loaded(MediaKind kind, Slot<Tower>& slot) const;
  void expect_encoder(MediaKind kind) const;

  Checkpoint checkpoint_;
  Log log_;
  Recipe recipe_;
  int encoder_threads_ = 0;
  DecodeLimits decode_limits_;
  MediaKinds kinds_;
  TextModel text_;
  WeightStore text_store_;
  bool has_weights_ = false;
  mutable Slot<VisionTower> vision_;
  mutable Slot<AudioTower> audio_;
};

}  // namespace g3n

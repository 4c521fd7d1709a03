// Gemma3n: a checkpoint put together: configs, tokenizer, text model, and the two encoders, which are loaded when media
// first come.
#pragma once
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "audio/audio_tower.h"
#include "core/log.h"
#include "core/thread_pool.h"
#include "json/config.h"
#include "formats/tensor_source.h"
#include "g3n/message.h"
#include "checkpoint/checkpoint.h"
#include "text/text_model.h"
#include "vision/vision_tower.h"
#include "weights/recipe.h"
#include "weights/weight_reader.h"

namespace g3n {

// Ids and counts that place media in a prompt (processor.md 1).
struct MediaIds {
  int32_t image = 262145, audio = 262273;                    // soft tokens
  int64_t image_soft_tokens = 256, audio_soft_tokens = 188;  // per medium
  int32_t vision_offset = 262144, audio_offset = 262272;     // first ids of the side vocabularies
  int64_t vision_vocab = 128, audio_vocab = 128;

  static MediaIds from(const Config& top);
};

struct ModelLoadOptions {
  bool weights = true;  // false: configs and tokenizer only
  Recipe recipe{};      // formats that weights get while they are packed; not for bundles, whose weights are packed
  Log log;
  std::function<void(int64_t needed_bytes, int64_t free_bytes)> on_memory;
  std::function<void(int64_t done_bytes, int64_t total_bytes)> on_progress;
};

class Gemma3n {
 public:
  // path: a Hugging Face folder, a .g3n bundle or a GGUF file. Every missing, surplus or misshapen tensor of all parts
  // is reported before anything is packed.
  static std::unique_ptr<Gemma3n> load(const std::string& path, ThreadPool& pool, const ModelLoadOptions& options);

  const std::string& path() const { return checkpoint_.path; }
  const Config& config() const { return checkpoint_.config; }
  const TextModel& text() const { return text_; }
  const GenerationConfig& generation() const { return checkpoint_.generation; }
  const ProcessorConfig& processor() const { return checkpoint_.processor; }
  const MediaIds& media_ids() const { return media_ids_; }
  int64_t packed_bytes() const;
  // What the weights are kept in: the recipe's name, or that of the bundle's.
  const std::string& recipe() const { return checkpoint_.bundle ? checkpoint_.bundle->recipe() : recipe_.name(); }

  bool has_tokenizer() const { return checkpoint_.tokenizer != nullptr; }
  const Tokenizer& tokenizer() const;  // throws kUnsupported if there is none
  bool has_vision() const { return has_vision_; }
  bool has_audio() const { return has_audio_; }

  // Pixels a side of images before the vision tower; the checkpoint's own unless set.
  void set_image_size(int size) { checkpoint_.processor.image_width = checkpoint_.processor.image_height = size; }

  // An id whose embedding comes from an encoder's own table: at or above the first side vocabulary.
  bool is_side_id(int32_t id) const {
    return id >= media_ids_.vision_offset && id < media_ids_.audio_offset + media_ids_.audio_vocab;
  }

  // Soft tokens of one medium; soft tokens that come ready are checked and passed on. Throws kUnsupported without that
  // encoder. One thread at a time (Machine::run).
  SoftTokens encode_image(Context& ctx, const ImagePart& image);
  SoftTokens encode_audio(Context& ctx, const AudioPart& audio);
  // The vector of a side id, one row.
  SoftTokens hard_embedding(Context& ctx, int32_t id);

  // Gives the memory of the encoders back; the next medium loads them again. One thread at a time, as encode_image.
  void release_encoders();

  const VisionTower& vision();  // loads it
  const AudioTower& audio();    // loads it

 private:
  explicit Gemma3n(Checkpoint checkpoint);
  std::unique_ptr<WeightReader> reader(const std::vector<std::string>& components, bool check_only) const;
  void check_tensors();
  SoftTokens encode_pixels(Context& ctx, const VisionTower& tower, View<const float, 3> pixels) const;
  SoftTokens checked(const SoftTokens& tokens, int64_t rows, const char* what) const;

  Checkpoint checkpoint_;
  ThreadPool* pool_ = nullptr;
  Log log_;
  Recipe recipe_;
  std::function<void(int64_t, int64_t)> on_progress_;  // while the text model is packed
  MediaIds media_ids_;
  TextModel text_;
  WeightStore text_store_;
  bool has_vision_ = false, has_audio_ = false;
  std::unique_ptr<VisionTower> vision_;
  std::unique_ptr<AudioTower> audio_;
  WeightStore vision_store_, audio_store_;
};

}  // namespace g3n

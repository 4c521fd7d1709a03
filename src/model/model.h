// Gemma3n: a checkpoint folder put together: configs, tokenizer, text model, and the two encoders, which are loaded when media first come.
#pragma once
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "audio/audio_tower.h"
#include "core/log.h"
#include "core/thread_pool.h"
#include "formats/json_config.h"
#include "formats/tensor_source.h"
#include "g3n/message.h"
#include "model/generation_config.h"
#include "model/processor_config.h"
#include "text/text_model.h"
#include "tokenizer/tokenizer.h"
#include "vision/vision_tower.h"
#include "weights/loader.h"

namespace g3n {

// Ids and counts that place media in a prompt (processor.md 1).
struct MediaIds {
  int32_t image = 262145, audio = 262273;                       // soft tokens
  int64_t image_soft_tokens = 256, audio_soft_tokens = 188;     // per medium
  int32_t vision_offset = 262144, audio_offset = 262272;        // first ids of the side vocabularies
  int64_t vision_vocab = 128, audio_vocab = 128;

  static MediaIds from(const Config& top);
};

struct ModelLoadOptions {
  bool weights = true;  // false: configs and tokenizer only
  Log log;
  std::function<void(int64_t needed_bytes, int64_t free_bytes)> on_memory;
  std::function<void(int64_t done_bytes, int64_t total_bytes)> on_progress;
};

class Gemma3n {
 public:
  // folder: a Hugging Face checkpoint. Every missing, surplus or misshapen tensor of all parts is reported before anything is packed.
  static std::unique_ptr<Gemma3n> load(const std::string& folder, ThreadPool& pool, const ModelLoadOptions& options);

  const std::string& folder() const { return folder_; }
  const Config& config() const { return config_; }
  const TextModel& text() const { return text_; }
  const GenerationConfig& generation() const { return generation_; }
  const ProcessorConfig& processor() const { return processor_; }
  const MediaIds& media_ids() const { return media_ids_; }
  int64_t packed_bytes() const;

  bool has_tokenizer() const { return tokenizer_ != nullptr; }
  const Tokenizer& tokenizer() const;  // throws kUnsupported if there is none
  bool has_vision() const { return has_vision_; }
  bool has_audio() const { return has_audio_; }

  // Pixels a side of images before the vision tower; the checkpoint's own unless set.
  void set_image_size(int size) { processor_.image_width = processor_.image_height = size; }

  // An id whose embedding comes from an encoder's own table: at or above the first side vocabulary.
  bool is_side_id(int32_t id) const { return id >= media_ids_.vision_offset && id < media_ids_.audio_offset + media_ids_.audio_vocab; }

  // Soft tokens of one medium; soft tokens that come ready are checked and passed on. Throws kUnsupported without that encoder.
  // One thread at a time (Machine::run).
  SoftTokens encode_image(Context& ctx, const ImagePart& image);
  SoftTokens encode_audio(Context& ctx, const AudioPart& audio);
  // The vector of a side id, one row.
  SoftTokens hard_embedding(Context& ctx, int32_t id);

  const VisionTower& vision();  // loads it
  const AudioTower& audio();    // loads it

 private:
  Gemma3n(std::string folder, Config config);
  void load_tokenizer();
  void check_tensors();
  SoftTokens encode_pixels(Context& ctx, const VisionTower& tower, View<const float, 3> pixels) const;
  SoftTokens checked(const SoftTokens& tokens, int64_t rows, const char* what) const;

  std::string folder_;
  Config config_;
  ThreadPool* pool_ = nullptr;
  Log log_;
  std::shared_ptr<const TensorSource> source_;
  GenerationConfig generation_;
  ProcessorConfig processor_;
  MediaIds media_ids_;
  std::unique_ptr<Tokenizer> tokenizer_;
  TextModel text_;
  WeightStore text_store_;
  bool has_vision_ = false, has_audio_ = false;
  std::unique_ptr<VisionTower> vision_;
  std::unique_ptr<AudioTower> audio_;
  WeightStore vision_store_, audio_store_;
};

}  // namespace g3n

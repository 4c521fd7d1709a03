#include "model/model.h"

#include "audio/mel.h"
#include "checkpoint/components.h"
#include "core/free_memory.h"
#include "core/mapped_file.h"
#include "g3n/error.h"
#include "tokenizer/chat_template.h"
#include "weights/bundle_loader.h"
#include "weights/loader.h"

namespace g3n {
namespace {

Component component_of(MediaKind kind) { return kind == MediaKind::kImage ? Component::kVision : Component::kAudio; }

// A bundle's weights are where they are; others are packed by the options.
std::unique_ptr<WeightReader> reader(const Checkpoint& checkpoint, LoaderOptions options) {
  if (checkpoint.bundle) return std::make_unique<BundleLoader>(checkpoint.bundle);
  return std::make_unique<Loader>(checkpoint.source, std::move(options));
}

// The front end makes what the tower takes.
void check_front_end(const Checkpoint& checkpoint, const AudioConfig& audio) {
  const int mels = checkpoint.processor.mel.feature_size;
  if (mels != audio.mels)
    throw Error(ErrorCode::kBadFile, checkpoint.path + ": audio_config: input_feat_size: expected " +
                                         std::to_string(mels) + ", the processor's feature_size, found " +
                                         std::to_string(audio.mels));
}

}  // namespace

Gemma3n::Gemma3n(Checkpoint checkpoint)
    : checkpoint_(std::move(checkpoint)),
      kinds_(MediaKinds::from(checkpoint_.config)),
      text_(TextConfig::from(checkpoint_.config)) {}

std::unique_ptr<Gemma3n> Gemma3n::open(const std::string& path, const ModelLoadOptions& options) {
  std::unique_ptr<Gemma3n> model(new Gemma3n(open_checkpoint(path)));
  model->log_ = options.log;
  model->recipe_ = options.recipe;
  model->encoder_threads_ = options.encoder_threads;
  if (model->checkpoint_.bundle && options.recipe.is_explicit())
    throw Error(ErrorCode::kInvalidArgument, path + ": this bundle was packed as " + model->recipe() +
                                                 ": expected no recipe, got " + options.recipe.name());
  for (const std::string& warning : model->generation().warnings) model->log_.warn(warning);
  if (model->checkpoint_.chat_template && !is_known_chat_template(*model->checkpoint_.chat_template))
    model->log_.warn(
        path +
        ": the chat template of this checkpoint is not one that g3n knows; the built-in Gemma 3n template is used");
  model->check_tensors();
  return model;
}

// Binds everything once without reading a weight, so that one error names all that is wrong.
void Gemma3n::check_tensors() {
  for (const MediaKind kind : {MediaKind::kImage, MediaKind::kAudio})
    kinds_.of(kind).has_encoder = has_component(checkpoint_, component_of(kind));
  ThreadPool nobody(1);
  const std::unique_ptr<WeightReader> all =
      reader(checkpoint_, {.pool = nobody, .log = log_, .recipe = recipe_, .mode = LoadMode::kCheck});
  TextModel(text_.config()).bind(*all);
  if (kinds_.of(MediaKind::kImage).has_encoder) {
    VisionTower tower(VisionConfig::from(config()));
    tower.bind(*all);
    if (tower.stem_bias_missing())
      log_.warn(path() +
                ": the vision tower has no conv_stem.conv.bias: this looks like the first upload of Gemma 3n, whose "
                "vision weights are defective");
  }
  if (kinds_.of(MediaKind::kAudio).has_encoder) {
    const AudioConfig audio = AudioConfig::from(config());
    check_front_end(checkpoint_, audio);
    AudioTower(audio).bind(*all);
  }
  all->check();
}

void Gemma3n::load_weights(ThreadPool& pool, const LoadProgress& progress) {
  const std::unique_ptr<WeightReader> weights = reader(checkpoint_, {.pool = pool,
                                                                     .progress = progress.on_progress,
                                                                     .components = component_prefixes(Component::kText),
                                                                     .recipe = recipe_});
  text_.bind(*weights);
  if (progress.on_memory && weights->bytes().packed > 0) progress.on_memory(weights->bytes().packed, free_memory());
  text_store_ = weights->finish();
  throw_if_damaged();  // zeros are packed for what was lost
  has_weights_ = true;
}

int64_t Gemma3n::packed_bytes() const { return text_store_.allocated_bytes() + vision_.bytes + audio_.bytes; }

const Tokenizer& Gemma3n::tokenizer() const {
  if (!checkpoint_.tokenizer)
    throw Error(
        ErrorCode::kUnsupported,
        path() +
            ": this needs a tokenizer: expected tokenizer.model or tokenizer.json beside config.json, found neither");
  return *checkpoint_.tokenizer;
}

void Gemma3n::expect_encoder(MediaKind kind) const {
  if (kinds_.of(kind).has_encoder) return;
  throw Error(ErrorCode::kUnsupported,
              path() + (kind == MediaKind::kImage ? ": this checkpoint has no vision tower: images cannot be read"
                                                  : ": this checkpoint has no audio tower: sounds cannot be heard"));
}

MediaInput Gemma3n::read(const MediaPart& part, int image_size, const KnownMedia& known) const {
  if (!soft_tokens_of(part)) expect_encoder(kind_of(part));
  return read_medium(processor(), kinds_, text_.config().hidden_size, part, image_size, log_, known);
}

std::vector<MediaInput> Gemma3n::read(std::span<const AudioPart> clips) const {
  expect_encoder(MediaKind::kAudio);
  return read_clips(processor(), kinds_, clips, log_);
}

template <typename Tower, typename TowerConfig>
std::shared_ptr<const Tower> Gemma3n::loaded(MediaKind kind, Slot<Tower>& slot) const {
  expect_encoder(kind);
  const std::lock_guard lock(slot.mutex);
  if (!slot.loaded) {
    ThreadPool pool(checkpoint_.bundle ? 1 : encoder_threads_);
    auto fresh = std::make_shared<typename Slot<Tower>::Loaded>(Tower(TowerConfig::from(config())), WeightStore());
    const std::unique_ptr<WeightReader> weights =
        reader(checkpoint_, {.pool = pool, .components = component_prefixes(component_of(kind)), .recipe = recipe_});
    fresh->tower.bind(*weights);
    fresh->store = weights->finish();
    throw_if_damaged();
    slot.bytes = fresh->store.allocated_bytes();
    slot.loaded = std::move(fresh);
  }
  return {slot.loaded, &slot.loaded->tower};
}

std::shared_ptr<const VisionTower> Gemma3n::vision() const {
  return loaded<VisionTower, VisionConfig>(MediaKind::kImage, vision_);
}

std::shared_ptr<const AudioTower> Gemma3n::audio() const {
  return loaded<AudioTower, AudioConfig>(MediaKind::kAudio, audio_);
}

void Gemma3n::load_encoder(MediaKind kind) const {
  if (kind == MediaKind::kImage)
    vision();
  else
    audio();
}

void Gemma3n::release_encoders() const {
  const auto release = [](auto& slot) {
    const std::lock_guard lock(slot.mutex);
    slot.loaded.reset();
    slot.bytes = 0;
  };
  release(vision_);
  release(audio_);
  if (!checkpoint_.bundle) return;
  // Pages of the mapped file; whoever still runs an encoder reads them again.
  for (const MediaKind kind : {MediaKind::kImage, MediaKind::kAudio})
    for (const std::string& prefix : component_prefixes(component_of(kind))) {
      const auto& entries = checkpoint_.bundle->entries();
      for (auto at = entries.lower_bound(prefix); at != entries.end() && at->first.starts_with(prefix); ++at)
        checkpoint_.bundle->source()->drop(*at->second.bytes);
    }
}

}  // namespace g3n

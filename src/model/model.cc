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
std::unique_ptr<WeightReader> reader(const WeightFiles& files, LoaderOptions options) {
  if (files.bundle) return std::make_unique<BundleLoader>(files.bundle);
  return std::make_unique<Loader>(files.source, std::move(options));
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

std::unique_ptr<Gemma3n> Gemma3n::open(const ModelPaths& paths, const ModelLoadOptions& options) {
  std::unique_ptr<Gemma3n> model(new Gemma3n(open_checkpoint(paths)));
  const std::string& path = model->path();
  model->log_ = options.log;
  model->recipe_ = options.recipe;
  model->encoder_threads_ = options.encoder_threads;
  model->decode_limits_ = options.decode_limits;
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
  const bool has_vision = kinds_.of(MediaKind::kImage).has_encoder,
             has_audio = kinds_.of(MediaKind::kAudio).has_encoder;
  const bool other_vision = checkpoint_.vision.has_value(), other_audio = checkpoint_.audio.has_value();
  check_tensors_of(files_of(checkpoint_, Component::kText), true, has_vision && !other_vision,
                   has_audio && !other_audio);
  if (other_vision || other_audio)
    check_tensors_of(other_vision ? *checkpoint_.vision : *checkpoint_.audio, false, other_vision, other_audio);
}

// Of one file: the parts that are taken from it. Tensors that nobody takes are told, but for those of whole parts that
// another file stands for.
void Gemma3n::check_tensors_of(const WeightFiles& files, bool has_text, bool has_vision, bool has_audio) {
  std::vector<std::string> components;
  const auto answer_for = [&](bool is_taken, Component component) {
    if (!is_taken) return;
    for (const std::string& prefix : component_prefixes(component)) components.push_back(prefix);
  };
  answer_for(has_text, Component::kText);
  answer_for(has_vision || !checkpoint_.vision, Component::kVision);
  answer_for(has_audio || !checkpoint_.audio, Component::kAudio);
  if (!has_component(files, Component::kText)) components.clear();  // an mmproj file: all of it
  ThreadPool nobody(1);
  const std::unique_ptr<WeightReader> all = reader(
      files,
      {.pool = nobody, .log = log_, .components = std::move(components), .recipe = recipe_, .mode = LoadMode::kCheck});
  if (has_text) TextModel(text_.config()).bind(*all);
  if (has_vision) {
    VisionTower tower(VisionConfig::from(config()));
    tower.bind(*all);
    if (tower.stem_bias_missing())
      log_.warn(files.path +
                ": the vision tower has no conv_stem.conv.bias: this looks like the first upload of Gemma 3n, whose "
                "vision weights are defective");
  }
  if (has_audio) {
    const AudioConfig audio = AudioConfig::from(config());
    check_front_end(checkpoint_, audio);
    AudioTower(audio).bind(*all);
  }
  try {
    all->check();
  } catch (const Error& error) {
    if (has_text) throw;
    throw Error(error.code(), "mmproj: " + files.path + ": " + error.what());  // what is missing names no file itself
  }
}

void Gemma3n::load_weights(ThreadPool& pool, const LoadProgress& progress) {
  const std::unique_ptr<WeightReader> weights =
      reader(files_of(checkpoint_, Component::kText), {.pool = pool,
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
  std::string message =
      path() + (kind == MediaKind::kImage ? ": this checkpoint has no vision tower: images cannot be read"
                                          : ": this checkpoint has no audio tower: sounds cannot be heard");
  if (checkpoint_.vision || checkpoint_.audio) {
    message += ", and neither has " + (checkpoint_.vision ? checkpoint_.vision : checkpoint_.audio)->path;
  } else if (const std::vector<std::string> files = mmproj_beside(path()); files.size() == 1) {
    message += "; " + files[0] + " beside it may have it: --mmproj auto (EngineOptions::mmproj) uses it";
  } else if (!files.empty()) {
    message += "; beside it " + files[0] + " and " + std::to_string(files.size() - 1) +
               " more may have it: --mmproj FILE (EngineOptions::mmproj) uses one";
  } else if (!checkpoint_.bundle) {
    message += "; --mmproj FILE (EngineOptions::mmproj) takes it from an mmproj file or a folder of the whole model";
  }
  throw Error(ErrorCode::kUnsupported, message);
}

MediaInput Gemma3n::read(const MediaPart& part, int image_size, const KnownMedia& known) const {
  if (!soft_tokens_of(part)) expect_encoder(kind_of(part));
  return read_medium(processor(), kinds_, text_.config().hidden_size, part, image_size, {log_, decode_limits_}, known);
}

std::vector<MediaInput> Gemma3n::read(std::span<const AudioPart> clips) const {
  expect_encoder(MediaKind::kAudio);
  return read_clips(processor(), kinds_, clips, {log_, decode_limits_});
}

template <typename Tower, typename TowerConfig>
std::shared_ptr<const Tower> Gemma3n::loaded(MediaKind kind, Slot<Tower>& slot) const {
  expect_encoder(kind);
  const std::lock_guard lock(slot.mutex);
  if (!slot.loaded) {
    const WeightFiles files = files_of(checkpoint_, component_of(kind));
    ThreadPool pool(files.bundle ? 1 : encoder_threads_);
    auto fresh = std::make_shared<typename Slot<Tower>::Loaded>(Tower(TowerConfig::from(config())), WeightStore());
    const std::unique_ptr<WeightReader> weights =
        reader(files, {.pool = pool, .components = component_prefixes(component_of(kind)), .recipe = recipe_});
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
  // Pages of a mapped bundle; whoever still runs an encoder reads them again.
  for (const MediaKind kind : {MediaKind::kImage, MediaKind::kAudio}) {
    const std::shared_ptr<const Bundle> bundle = files_of(checkpoint_, component_of(kind)).bundle;
    if (!bundle) continue;
    for (const std::string& prefix : component_prefixes(component_of(kind))) {
      const auto& entries = bundle->entries();
      for (auto at = entries.lower_bound(prefix); at != entries.end() && at->first.starts_with(prefix); ++at)
        bundle->source()->drop(*at->second.bytes);
    }
  }
}

}  // namespace g3n

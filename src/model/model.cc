#include "model/model.h"

#include <fstream>

#include "audio/mel.h"
#include "g3n/error.h"
#include "media/audio.h"
#include "media/image.h"
#include "tokenizer/chat_template.h"
#include "vision/preprocess.h"
#include "weights/bundle_loader.h"
#include "weights/loader.h"

namespace g3n {
namespace {

// MemAvailable of this machine; 0 if it cannot be told.
int64_t available_bytes() {
  std::ifstream file("/proc/meminfo");
  std::string key, unit;
  for (int64_t value = 0; file >> key >> value >> unit;)
    if (key == "MemAvailable:") return value * 1024;
  return 0;
}

std::string plural(int64_t n, const std::string& what) { return std::to_string(n) + " " + what + (n == 1 ? "" : "s"); }

}  // namespace

MediaIds MediaIds::from(const Config& top) {
  MediaIds m;
  auto id = [](const Config& c, const char* key, int32_t fallback) {
    return static_cast<int32_t>(c.integer(key, fallback, 0, INT32_MAX));
  };
  m.image = id(top, "image_token_id", m.image);
  m.audio = id(top, "audio_token_id", m.audio);
  m.image_soft_tokens = top.integer("vision_soft_tokens_per_image", m.image_soft_tokens, 1, 1 << 16);
  m.audio_soft_tokens = top.integer("audio_soft_tokens_per_image", m.audio_soft_tokens, 1, 1 << 16);
  const Config vision = top.object("vision_config"), audio = top.object("audio_config");
  m.vision_offset = id(vision, "vocab_offset", m.vision_offset);
  m.audio_offset = id(audio, "vocab_offset", m.audio_offset);
  m.vision_vocab = vision.integer("vocab_size", m.vision_vocab, 1, 1 << 24);
  m.audio_vocab = audio.integer("vocab_size", m.audio_vocab, 1, 1 << 24);
  return m;
}

Gemma3n::Gemma3n(Checkpoint checkpoint)
    : checkpoint_(std::move(checkpoint)), text_(TextConfig::from(checkpoint_.config)) {}

std::unique_ptr<Gemma3n> Gemma3n::load(const std::string& path, ThreadPool& pool, const ModelLoadOptions& options) {
  std::unique_ptr<Gemma3n> model(new Gemma3n(open_checkpoint(path)));
  model->pool_ = &pool;
  model->log_ = options.log;
  model->recipe_ = options.recipe;
  model->media_ids_ = MediaIds::from(model->config());
  if (model->checkpoint_.bundle && options.recipe.is_explicit())
    throw Error(ErrorCode::kInvalidArgument, path + ": this bundle was packed as " + model->recipe() +
                                                 ": expected no recipe, got " + options.recipe.name());
  if (model->checkpoint_.chat_template && !is_known_chat_template(*model->checkpoint_.chat_template))
    model->log_.warn(
        path +
        ": the chat template of this checkpoint is not one that g3n knows; the built-in Gemma 3n template is used");
  model->check_tensors();
  if (!options.weights) return model;

  model->on_progress_ = options.on_progress;
  const std::unique_ptr<WeightReader> reader = model->reader({"model.language_model."}, false);
  model->on_progress_ = nullptr;
  model->text_.bind(*reader);
  if (options.on_memory && reader->bytes().packed > 0) options.on_memory(reader->bytes().packed, available_bytes());
  model->text_store_ = reader->finish();
  return model;
}

std::unique_ptr<WeightReader> Gemma3n::reader(const std::vector<std::string>& components, bool check_only) const {
  if (checkpoint_.bundle) return std::make_unique<BundleLoader>(checkpoint_.bundle);
  return std::make_unique<Loader>(checkpoint_.source,
                                  LoaderOptions{.pool = *pool_,
                                                .progress = on_progress_,
                                                .log = check_only ? log_ : Log{},
                                                .components = components,
                                                .recipe = recipe_,
                                                .mode = check_only ? LoadMode::kCheck : LoadMode::kLoad});
}

// Binds everything once without reading a weight, so that one error names all that is wrong.
void Gemma3n::check_tensors() {
  const std::unique_ptr<WeightReader> all = reader({}, true);
  WeightReader& loader = *all;
  TextModel text(text_.config());
  text.bind(loader);
  has_vision_ = VisionTower::present(loader);
  has_audio_ = AudioTower::present(AudioConfig::from(config()), loader);
  if (has_vision_) {
    VisionTower vision(VisionConfig::from(config()));
    vision.bind(loader);
    if (vision.stem_bias_missing())
      log_.warn(path() +
                ": the vision tower has no conv_stem.conv.bias: this looks like the first upload of Gemma 3n, whose "
                "vision weights are defective");
  }
  if (has_audio_) {
    AudioTower audio(AudioConfig::from(config()));
    audio.bind(loader);
  }
  loader.check();
}

int64_t Gemma3n::packed_bytes() const {
  return text_store_.allocated_bytes() + vision_store_.allocated_bytes() + audio_store_.allocated_bytes();
}

const Tokenizer& Gemma3n::tokenizer() const {
  if (!checkpoint_.tokenizer)
    throw Error(
        ErrorCode::kUnsupported,
        path() +
            ": this needs a tokenizer: expected tokenizer.model or tokenizer.json beside config.json, found neither");
  return *checkpoint_.tokenizer;
}

void Gemma3n::release_encoders() {
  vision_.reset();
  audio_.reset();
  vision_store_ = {};
  audio_store_ = {};
  if (!checkpoint_.bundle) return;
  for (const auto& [name, entry] : checkpoint_.bundle->entries())
    if (!name.starts_with("model.language_model.")) checkpoint_.bundle->source()->drop(*entry.bytes);  // mapped pages
}

const VisionTower& Gemma3n::vision() {
  if (!has_vision_)
    throw Error(ErrorCode::kUnsupported, path() + ": this checkpoint has no vision tower: images cannot be read");
  if (!vision_) {
    auto tower = std::make_unique<VisionTower>(VisionConfig::from(config()));
    const std::unique_ptr<WeightReader> weights = reader({"model.vision_tower.", "model.embed_vision."}, false);
    tower->bind(*weights);
    vision_store_ = weights->finish();
    vision_ = std::move(tower);
  }
  return *vision_;
}

const AudioTower& Gemma3n::audio() {
  if (!has_audio_)
    throw Error(ErrorCode::kUnsupported, path() + ": this checkpoint has no audio tower: sounds cannot be heard");
  if (!audio_) {
    auto tower = std::make_unique<AudioTower>(AudioConfig::from(config()));
    const std::unique_ptr<WeightReader> weights = reader({"model.audio_tower.", "model.embed_audio."}, false);
    tower->bind(*weights);
    audio_store_ = weights->finish();
    audio_ = std::move(tower);
  }
  return *audio_;
}

SoftTokens Gemma3n::checked(const SoftTokens& tokens, int64_t rows, const char* what) const {
  const int64_t hidden = text_.config().hidden_size;
  if (tokens.rows != rows || static_cast<int64_t>(tokens.values.size()) != rows * hidden)
    throw Error(ErrorCode::kInvalidArgument, std::string(what) + " soft tokens: expected [" + std::to_string(rows) +
                                                 ", " + std::to_string(hidden) + "], got " +
                                                 plural(tokens.rows, "row") + " and " +
                                                 plural(static_cast<int64_t>(tokens.values.size()), "value"));
  return tokens;
}

SoftTokens Gemma3n::encode_image(Context& ctx, const ImagePart& image) {
  if (const auto* ready = std::get_if<SoftTokens>(&image.source))
    return checked(*ready, media_ids_.image_soft_tokens, "image");
  const VisionTower& tower = vision();
  const auto* file = std::get_if<MediaBytes>(&image.source);
  const Pixels pixels = resize_image(file ? decode_image(file->bytes, file->name) : std::get<Pixels>(image.source),
                                     checkpoint_.processor.image_width, checkpoint_.processor.image_height);
  ArenaScope scope(ctx.arena);
  const View<float, 3> map{ctx.arena.take<float>(int64_t{3} * pixels.width * pixels.height),
                           {pixels.height, pixels.width, 3}};
  to_float(pixels, checkpoint_.processor.rescale_factor, map.data);
  return encode_pixels(ctx, tower, map);
}

SoftTokens Gemma3n::encode_pixels(Context& ctx, const VisionTower& tower, View<const float, 3> pixels) const {
  SoftTokens out{media_ids_.image_soft_tokens,
                 std::vector<float>(media_ids_.image_soft_tokens * text_.config().hidden_size)};
  tower.forward(ctx, pixels, {out.values.data(), {out.rows, text_.config().hidden_size}});
  return out;
}

SoftTokens Gemma3n::encode_audio(Context& ctx, const AudioPart& audio_part) {
  if (const auto* ready = std::get_if<SoftTokens>(&audio_part.source))
    return checked(*ready, media_ids_.audio_soft_tokens, "audio");
  const AudioTower& tower = audio();
  const auto* file = std::get_if<MediaBytes>(&audio_part.source);
  const Samples samples = file ? decode_audio(file->bytes, file->name) : std::get<Samples>(audio_part.source);
  check_clip(checkpoint_.processor.mel, samples.pcm, file ? file->name : "audio");
  const LogMel mel = log_mel(checkpoint_.processor.mel, samples.pcm);
  SoftTokens out{media_ids_.audio_soft_tokens,
                 std::vector<float>(media_ids_.audio_soft_tokens * text_.config().hidden_size)};
  tower.forward(ctx, {mel.values.data(), {mel.frames, mel.mels}}, mel.valid,
                {out.values.data(), {out.rows, text_.config().hidden_size}});
  return out;
}

SoftTokens Gemma3n::hard_embedding(Context& ctx, int32_t id) {
  const int64_t hidden = text_.config().hidden_size;
  SoftTokens out{1, std::vector<float>(hidden)};
  if (id < media_ids_.audio_offset)
    vision().hard_embedding(ctx, id - media_ids_.vision_offset, {out.values.data(), {1, hidden}});
  else
    audio().hard_embedding(ctx, id - media_ids_.audio_offset, {out.values.data(), {1, hidden}});
  return out;
}

}  // namespace g3n

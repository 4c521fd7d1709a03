#include "model/opened_model.h"

#include "kernels/table.h"
#include "model/cpu_model.h"
#include "model/model.h"
#include "weights/recipe.h"

namespace g3n {

namespace {

DecodeLimits decode_limits(const EngineOptions& options) {
  DecodeLimits limits{.decode_seconds = options.max_decode_seconds};
  if (options.max_image_side) limits.image_side = options.max_image_side;
  if (options.max_image_pixels) limits.image_pixels = options.max_image_pixels;
  return limits;
}

}  // namespace

OpenedModel::OpenedModel(const ModelPaths& paths, const EngineOptions& options) {
  model_ = Gemma3n::open(paths, {.recipe = Recipe::named(options.quantize),
                                 .encoder_threads = options.threads,
                                 .log = Log(options.on_warning),
                                 .decode_limits = decode_limits(options)});
  const TextConfig& config = model_->text().config();
  numbers_ = {.max_positions = config.max_position_embeddings,
              .vocab_size = config.vocab_size,
              .hidden_size = config.hidden_size,
              .image_size = model_->processor().image_width,
              .least_clip_samples = model_->processor().mel.frame_length + 1,
              .most_clip_samples = model_->processor().mel.max_samples};
}

OpenedModel::~OpenedModel() = default;

std::unique_ptr<LanguageModel> OpenedModel::load(const EngineOptions& options, CpuUse& use) {
  auto cpu = std::make_unique<CpuModel>(
      model_, CpuOptions{.threads = options.threads, .compute = options.compute, .kv = options.kv_cache});
  warn_of_missing_threads(cpu->pool(), Log(options.on_warning));
  model_->load_weights(cpu->pool(), {.on_memory = options.on_memory, .on_progress = options.on_progress});
  use = {.kernels = cpu->kernels().name, .threads = cpu->pool().threads()};
  return cpu;
}

const std::string& OpenedModel::path() const { return model_->path(); }
const MediaKinds& OpenedModel::kinds() const { return model_->kinds(); }
const GenerationConfig& OpenedModel::generation() const { return model_->generation(); }
bool OpenedModel::has_tokenizer() const { return model_->has_tokenizer(); }
const Tokenizer& OpenedModel::tokenizer() const { return model_->tokenizer(); }
const std::string& OpenedModel::recipe() const { return model_->recipe(); }
std::string OpenedModel::chat_template() const { return model_->chat_template(); }
int64_t OpenedModel::packed_bytes() const { return model_->packed_bytes(); }
MediaInput OpenedModel::read(const MediaPart& part, int image_size, const KnownMedia& known) const {
  return model_->read(part, image_size, known);
}
std::vector<MediaInput> OpenedModel::read(std::span<const AudioPart> clips) const { return model_->read(clips); }
void OpenedModel::load_encoder(MediaKind kind) const { model_->load_encoder(kind); }
void OpenedModel::release_encoders() const { model_->release_encoders(); }

const char* kernel_table_name() { return best_kernels().name; }

}  // namespace g3n

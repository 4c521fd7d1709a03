#include "audio/towers.h"

#include "weights/shape_lister.h"

namespace g3n::testing {

LoadedTower load_tower(std::shared_ptr<const TensorSource> source, const AudioConfig& config) {
  ThreadPool pool;
  Loader loader(std::move(source), {.pool = pool, .components = {"model.audio_tower.", "model.embed_audio."}});
  LoadedTower loaded{AudioTower(config), {}};
  loaded.tower.bind(loader);
  loaded.store = loader.finish();
  return loaded;
}

AudioConfig config_of(const std::string& folder) { return AudioConfig::from(Config::load(folder + "/config.json")); }

std::vector<NamedShape> listed_audio_tensors(const AudioConfig& config) {
  ShapeLister lister;
  AudioTower(config).bind(lister);
  std::vector<NamedShape> tensors;
  for (const auto& [name, shape] : lister.names_and_shapes()) tensors.push_back({name, shape});
  return tensors;
}

std::vector<float> run_tower(const AudioTower& tower, const LogMel& clip, const RunOptions& options,
                             size_t* peak_bytes) {
  ThreadPool pool(options.threads);
  Arena arena;
  Context ctx{.pool = pool,
              .kernels = options.kernels ? *options.kernels : best_kernels(),
              .arena = arena,
              .compute = options.compute,
              .taps = options.taps};
  const AudioConfig& c = tower.config();
  std::vector<float> out(static_cast<size_t>(c.soft_tokens * c.text_hidden));
  tower.forward(ctx, View<const float, 2>(clip.values.data(), {clip.frames, clip.mels}), clip.valid,
                {out.data(), {c.soft_tokens, c.text_hidden}});
  if (peak_bytes) *peak_bytes = arena.peak_bytes();
  return out;
}

}  // namespace g3n::testing

#include "vision/towers.h"

#include "json/config.h"
#include "support/inputs.h"
#include "weights/shape_lister.h"

namespace g3n::testing {

LoadedTower load_tower(std::shared_ptr<const TensorSource> source, const VisionConfig& config, Log log) {
  ThreadPool pool(2);
  Loader loader(std::move(source),
                {.pool = pool, .log = std::move(log), .components = {"model.vision_tower.", "model.embed_vision."}});
  LoadedTower loaded{VisionTower(config), {}};
  loaded.tower.bind(loader);
  loaded.store = loader.finish();
  return loaded;
}

VisionConfig config_of(const std::string& folder) { return VisionConfig::from(Config::load(folder + "/config.json")); }

std::vector<NamedShape> tiny_vision_tensors() {
  std::vector<NamedShape> tensors;
  for (const TensorRecord& record : read_tensor_records(std::string(kTinyFolder) + "/tensors.json"))
    if (record.tensor.name.find("vision") != std::string::npos) tensors.push_back(record.tensor);
  return tensors;
}

std::vector<NamedShape> listed_vision_tensors(const VisionConfig& config) {
  ShapeLister lister;
  VisionTower(config).bind(lister);
  std::vector<NamedShape> tensors;
  for (const auto& [name, shape] : lister.names_and_shapes()) tensors.push_back({name, shape});
  return tensors;
}

const LoadedTower& tiny_tower() {
  static const LoadedTower tower =
      load_tower(hash_checkpoint(tiny_vision_tensors(), /*ple_size=*/32), config_of(kTinyFolder));
  return tower;
}

std::vector<float> run_tower(const VisionTower& tower, const std::vector<float>& pixels, int64_t h, int64_t w,
                             const RunOptions& options, size_t* peak_bytes) {
  ThreadPool pool(options.threads);
  Arena arena;
  Context ctx{.pool = pool,
              .kernels = options.kernels ? *options.kernels : best_kernels(),
              .arena = arena,
              .compute = options.compute,
              .taps = options.taps};
  const std::array<int64_t, 2> shape = {tower.soft_tokens(), tower.config().text_hidden_size};
  std::vector<float> out(static_cast<size_t>(shape[0] * shape[1]));
  tower.forward(ctx, View<const float, 3>(pixels.data(), {h, w, 3}), View<float, 2>(out.data(), shape));
  if (peak_bytes) *peak_bytes = arena.peak_bytes();
  return out;
}

std::vector<float> picture(int64_t w, int64_t h, int64_t seed) {
  std::vector<float> pixels;
  for (uint8_t v : golden_picture(w, h, seed)) pixels.push_back(static_cast<float>(v) * (1.0f / 255.0f));
  return pixels;
}

}  // namespace g3n::testing

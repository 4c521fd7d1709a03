// The tiny checkpoint as a folder, and as a loaded model that encodes media and makes logits.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "model/cpu_model.h"
#include "model/model.h"
#include "support/errors.h"
#include "support/source_path.h"
#include "support/inputs.h"
#include "tools/checkpoint_writer.h"

namespace g3n::testing {

inline const std::string kTinyConfig = source_path("tests/golden/data/tiny/config.json");
inline constexpr int kImageSize = 64;

// The tiny checkpoint as a folder of its own, to be changed.
struct TinyFolder {
  TemporaryFolder parent;
  std::string path = parent / "model";
  TinyFolder() {
    ThreadPool pool(2);
    write_random_checkpoint(pool, kTinyConfig, path, {});
  }
  void write(const std::string& name, const std::string& text) const { parent.write("model/" + name, text); }
};

inline const std::string& tiny_path() {
  static const TinyFolder folder;
  return folder.path;
}

inline std::unique_ptr<Gemma3n> open_tiny(const ModelPaths& paths = {tiny_path()}) {
  return Gemma3n::open(paths, {.encoder_threads = 2});
}

// A loaded model on two threads.
struct Loaded {
  std::shared_ptr<const Gemma3n> model;
  std::unique_ptr<CpuModel> cpu;
  explicit Loaded(const ModelPaths& paths = {tiny_path()}) {
    std::shared_ptr<Gemma3n> fresh = open_tiny(paths);
    model = fresh;
    cpu = std::make_unique<CpuModel>(model, CpuOptions{.threads = 2});
    fresh->load_weights(cpu->pool());
  }

  std::vector<float> encode(const MediaInput& input, const StepOptions& options = {}) {
    const int64_t rows = model->kinds().of(input.kind).soft_tokens, hidden = cpu->hidden_size();
    std::vector<float> out(static_cast<size_t>(rows * hidden));
    cpu->encode(input.view(), {out.data(), {rows, hidden}}, options);
    return out;
  }
  // Logits behind the ids.
  std::vector<float> forward(const std::vector<int32_t>& ids) {
    const std::unique_ptr<SequenceCache> cache = cpu->make_cache(64);
    SequenceCache* const caches[] = {cache.get()};
    std::vector<Row> rows;
    for (size_t i = 0; i < ids.size(); ++i)
      rows.push_back({.position = static_cast<int32_t>(i), .id = ids[i], .wants_logits = i + 1 == ids.size()});
    std::vector<float> logits(static_cast<size_t>(cpu->vocab_size()));
    cpu->forward({rows, caches, {}}, {logits.data(), {1, cpu->vocab_size()}}, {});
    return logits;
  }
};

inline MediaInput picture(const Gemma3n& model) {
  return model.read(ImagePart{Pixels{50, 40, golden_picture(50, 40, 7)}}, kImageSize);
}
inline MediaInput clip(const Gemma3n& model) { return model.read(AudioPart{Samples{golden_samples(16000, 3)}}, 0); }

}  // namespace g3n::testing

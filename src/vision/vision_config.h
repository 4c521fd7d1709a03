// VisionConfig: every number of the vision tower and its embedder, from config.json (spec: checkpoint.md 1). HF:
// Gemma3nVisionConfig. Widths, heads and kernel sizes of the tower come from the tensors (block_plan.h); model_args say
// them where there is no file.
#pragma once
#include <cstdint>

#include "json/config.h"

namespace g3n {

struct VisionConfig {
  int64_t hidden_size = 2048;     // of the features, before the embedder
  int64_t vocab_size = 128;       // rows of the side vocabulary
  int64_t vocab_offset = 262144;  // id of its first row
  float rms_norm_eps = 1e-6f;     // of the embedder; the tower's own is timm's 1e-6
  double channel_multiplier = 1;  // model_args, timm's names
  int64_t stem_size = 64;
  int64_t output_resolution = 16;       // msfa_output_resolution: the tower's last map is this square
  int64_t text_hidden_size = 2048;      // text_config.hidden_size
  int64_t soft_tokens_per_image = 256;  // output_resolution squared

  // From the top-level object of config.json. Throws kBadFile or kUnsupported.
  static VisionConfig from(const Config& top);
};

}  // namespace g3n

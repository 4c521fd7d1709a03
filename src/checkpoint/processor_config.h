// ProcessorConfig: how pictures and sounds are prepared: preprocessor_config.json (2025, flat) or processor_config.json
// (5.x, nested).
#pragma once
#include <string>

#include "audio/mel.h"
#include "core/file_set.h"
#include "json/config.h"

namespace g3n {

struct ProcessorConfig {
  int image_width = 768, image_height = 768;
  float rescale_factor = 1.0f / 255.0f;
  MelConfig mel;

  // Missing files or keys: the values of vision.md 1 and audio.md 1. Throws kBadFile for numbers that no medium could
  // be prepared with, kUnsupported for settings that change pixels in a way that no Gemma 3n checkpoint asks for
  // (do_normalize, another filter).
  static ProcessorConfig load(const FileSet& files);
  // As a processor_config.json that gives these values back.
  std::string as_file() const;
};

}  // namespace g3n

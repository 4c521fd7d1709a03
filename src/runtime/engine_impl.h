// What an Engine is made of; Session shares it.
#pragma once
#include <algorithm>
#include <memory>

#include "g3n/engine.h"
#include "model/model.h"
#include "runtime/generator.h"
#include "runtime/machine.h"
#include "runtime/prompt_builder.h"

namespace g3n {

struct Engine::Impl {
  explicit Impl(const EngineOptions& options);

  std::unique_ptr<SequenceCache> make_cache() const { return model->text().make_cache(context, std::min(chunk, context), machine.compute()); }

  Machine machine;
  std::unique_ptr<Gemma3n> model;
  std::unique_ptr<PromptBuilder> builder;
  int64_t chunk, context = 0;
  ModelInfo info;
};

}  // namespace g3n

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

  // Throws kUnsupported if the engine was opened for tokens alone.
  void expect_weights() const {
    if (!has_weights)
      throw Error(ErrorCode::kUnsupported,
                  "this engine was opened without weights (EngineOptions::load_weights): it makes tokens, not answers");
  }
  std::unique_ptr<SequenceCache> make_cache() const {
    return model->text().make_cache(context, std::min(chunk, context), kv);
  }

  Machine machine;
  std::unique_ptr<Gemma3n> model;
  std::unique_ptr<PromptBuilder> builder;
  int64_t chunk, context = 0;
  DType kv;  // what K and V are kept in
  bool has_weights = true;
  ModelInfo info;
};

}  // namespace g3n

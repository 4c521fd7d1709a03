// What an Engine is made of; Session and tests share it.
#pragma once
#include <memory>

#include "g3n/engine.h"
#include "model/opened_model.h"
#include "runtime/prompt_builder.h"
#include "runtime/scheduler.h"

namespace g3n {

struct Ticket::State {
  std::shared_ptr<Job> job;
};

struct Engine::Impl {
  // Opens the checkpoint and, unless load_weights is false, loads its weights into a CpuModel.
  explicit Impl(const EngineOptions& options);
  // Over any model: configs, tokenizer and template come from the checkpoint, of which no weight is read.
  Impl(const EngineOptions& options, std::unique_ptr<LanguageModel> model);

  // Throws kUnsupported if the engine was opened for tokens alone.
  Scheduler& running();
  const Tokenizer* tokenizer() const { return checkpoint->has_tokenizer() ? &checkpoint->tokenizer() : nullptr; }
  // Of an answer: everything but its plan. Throws kInvalidArgument for options out of range.
  JobSetup setup_of(AnswerOptions options, std::shared_ptr<EventSink> sink) const;
  // All stop ids in force for an answer. Throws kInvalidArgument for options out of range.
  std::vector<int32_t> stop_ids(const AnswerOptions& options) const;
  // Waits for the job's end while `relay`, if there is one, passes on its events; cancelled ends it.
  void wait(Job& job, const std::atomic<bool>* cancelled, EventRelay* relay = nullptr) const;

  std::unique_ptr<OpenedModel> checkpoint;
  int64_t chunk, context = 0;
  int image_size = 0;  // of EngineOptions
  ModelInfo info;
  std::unique_ptr<LanguageModel> model;     // null without weights
  std::shared_ptr<MediaCache> media_cache;  // null: none
  std::unique_ptr<PromptBuilder> builder;
  std::unique_ptr<Scheduler> scheduler;  // null without weights; ends first

 private:
  void open(const EngineOptions& options);
  void start(const EngineOptions& options, bool has_encoders);
  int64_t kv_bytes(const EngineOptions& options) const;
};

// The inside of an Engine, for what is built beside it (diagnostics, tests).
struct EngineAccess {
  using Impl = Engine::Impl;
  static Engine::Impl& of(Engine& engine) { return *engine.impl_; }
  // An Engine over a model of a test's own.
  static std::shared_ptr<Engine> open_over(std::unique_ptr<LanguageModel> model, const EngineOptions& options);
};

}  // namespace g3n

#include "g3n/engine.h"

#include <chrono>

#include "checkpoint/hub_cache.h"
#include "kernels/table.h"
#include "runtime/engine_impl.h"

namespace g3n {

const char* finish_reason_name(FinishReason reason) {
  switch (reason) {
    case FinishReason::kStop: return "stop";
    case FinishReason::kLength: return "length";
    case FinishReason::kCancelled: return "cancelled";
  }
  return "?";
}

namespace {

void check_options(const EngineOptions& o) {
  auto fail = [](const std::string& what) { throw Error(ErrorCode::kInvalidArgument, what); };
  if (o.model.empty()) fail("model: expected a checkpoint folder or the name of a cached one, got nothing");
  if (o.threads < 0 || o.threads > 1024)
    fail("threads: expected 0 (all cores) to 1024, got " + std::to_string(o.threads));
  if (o.chunk < 1 || o.chunk > 65536) fail("chunk: expected 1 to 65536, got " + std::to_string(o.chunk));
  if (o.context < 0) fail("context: expected 0 (the checkpoint's) or more, got " + std::to_string(o.context));
  if (o.image_size < 0 || o.image_size > 4096)
    fail("image size: expected 0 (the checkpoint's) to 4096, got " + std::to_string(o.image_size));
}

// An existing path is taken as it is; an id is looked up in the hub caches.
std::string find_model(const EngineOptions& options) {
  if (!looks_like_hub_id(options.model)) return options.model;
  return resolve_hub_model(options.model, options.hub_caches, Log(options.on_warning));
}

DType cache_type(CacheType type, ComputeType compute) {
  switch (type) {
    case CacheType::kF32: return DType::kF32;
    case CacheType::kBF16: return DType::kBF16;
    case CacheType::kQ8: return DType::kQ8_0;
    default: return standard_cache(compute);
  }
}

}  // namespace

Engine::Impl::Impl(const EngineOptions& options)
    : machine(options.threads, best_kernels(),
              options.compute == Compute::kBF16 ? ComputeType::kBF16 : ComputeType::kF32),
      chunk(options.chunk),
      kv(cache_type(options.kv_cache, machine.compute())),
      has_weights(options.load_weights) {
  const auto start = std::chrono::steady_clock::now();
  ModelLoadOptions load{.weights = options.load_weights,
                        .recipe = Recipe::named(options.quantize),
                        .log = Log(options.on_warning),
                        .on_memory = options.on_memory,
                        .on_progress = options.on_progress};
  const std::string folder = find_model(options);
  model = Gemma3n::load(folder, machine.pool(), load);
  if (options.image_size) model->set_image_size(options.image_size);
  const TextConfig& config = model->text().config();
  if (options.context > config.max_position_embeddings)
    throw Error(ErrorCode::kInvalidArgument, "context: expected at most " +
                                                 std::to_string(config.max_position_embeddings) +
                                                 " (max_position_embeddings), got " + std::to_string(options.context));
  context = options.context ? options.context : config.max_position_embeddings;
  builder = std::make_unique<PromptBuilder>(*model, machine, options.release_encoders);
  info = {.path = folder,
          .has_tokenizer = model->has_tokenizer(),
          .has_vision = model->has_vision(),
          .has_audio = model->has_audio(),
          .context = context,
          .vocab_size = config.vocab_size,
          .hidden_size = config.hidden_size,
          .kernels = machine.kernels().name,
          .threads = machine.pool().threads(),
          .image_size = model->processor().image_width,
          .load_seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(),
          .weight_bytes = model->packed_bytes()};
}

Engine::Engine(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Engine::~Engine() = default;

std::shared_ptr<Engine> Engine::open(const EngineOptions& options) {
  check_options(options);
  return std::shared_ptr<Engine>(new Engine(std::make_unique<Impl>(options)));
}

const ModelInfo& Engine::info() const { return impl_->info; }
const Sampling& Engine::default_sampling() const { return impl_->model->generation().sampling; }
const std::vector<std::int32_t>& Engine::default_stop_ids() const { return impl_->model->generation().stop_ids; }

std::vector<std::int32_t> Engine::encode(std::string_view text, ControlTokens control) const {
  return impl_->model->tokenizer().encode(text, {.control = control});
}
std::string Engine::decode(const std::vector<std::int32_t>& ids, bool skip_special) const {
  return impl_->model->tokenizer().decode(ids, skip_special);
}
std::string Engine::piece(std::int32_t id) const { return impl_->model->tokenizer().piece(id); }

std::string Engine::render(const ChatPrompt& prompt) const { return impl_->builder->render(prompt); }
std::vector<std::int32_t> Engine::tokenize(const Prompt& prompt) const { return impl_->builder->tokenize(prompt); }
PreparedPrompt Engine::prepare(const Prompt& prompt, const std::atomic<bool>* cancelled) {
  impl_->expect_weights();
  return impl_->builder->prepare(prompt, cancelled);
}

Answer Engine::generate(const Request& request, EventSink* sink) {
  check_sampling(request.sampling);
  const PreparedPrompt prompt = prepare(request.prompt, request.cancelled);
  auto cache = impl_->make_cache();
  const std::vector<std::int32_t>& stop_ids = request.stop_ids.empty() ? default_stop_ids() : request.stop_ids;
  return generate_answer(impl_->machine, impl_->model->text(),
                         impl_->model->has_tokenizer() ? &impl_->model->tokenizer() : nullptr, *cache,
                         {.prompt = prompt,
                          .sampling = request.sampling,
                          .max_tokens = request.max_tokens,
                          .stop = request.stop,
                          .stop_ids = stop_ids,
                          .cancelled = request.cancelled,
                          .chunk = impl_->chunk},
                         sink);
}

void Engine::logits(const PreparedPrompt& prompt, std::int64_t first,
                    const std::function<void(std::int64_t, std::span<const float>)>& on_logits,
                    const std::atomic<bool>* cancelled) {
  impl_->expect_weights();
  const std::int64_t tokens = static_cast<std::int64_t>(prompt.ids.size());
  if (first < 0 || first >= tokens)
    throw Error(ErrorCode::kInvalidArgument, "logits: expected a position of the prompt (0 to " +
                                                 std::to_string(tokens - 1) + "), got " + std::to_string(first));
  constexpr std::int64_t kRowsAtOnce = 64;  // a row of logits is a megabyte
  auto cache = impl_->make_cache();
  prompt_logits(impl_->machine, impl_->model->text(), *cache, prompt, first, std::min(impl_->chunk, kRowsAtOnce),
                cancelled, [&](int64_t position, View<const float, 2> rows) {
                  for (int64_t i = 0; i < rows.dim[0]; ++i)
                    on_logits(position + i, {rows.row(i), static_cast<size_t>(rows.dim[1])});
                });
}

}  // namespace g3n

#include "runtime/generator.h"

#include <algorithm>
#include <chrono>

#include "runtime/sampler.h"
#include "runtime/stop.h"
#include "tokenizer/stream_decoder.h"
#include "tokenizer/tokenizer.h"

namespace g3n {
namespace {

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// Rows of positions [first, first + count) of a prompt, with their soft tokens copied side by side.
struct Chunk {
  std::vector<Row> rows;
  std::vector<float> soft;
  int64_t hidden = 0;

  Chunk(const PreparedPrompt& prompt, int64_t first, int64_t count) {
    for (int64_t p = first; p < first + count; ++p)
      rows.push_back({.sequence = 0, .position = static_cast<int32_t>(p), .id = prompt.ids[p]});
    for (const SoftSpan& span : prompt.soft) {
      const int64_t begin = std::max(first, span.first), end = std::min(first + count, span.first + span.tokens->rows);
      if (begin >= end) continue;
      hidden = static_cast<int64_t>(span.tokens->values.size()) / span.tokens->rows;
      for (int64_t p = begin; p < end; ++p) {
        rows[p - first].soft_token = static_cast<int32_t>(soft.size() / hidden);
        const float* row = span.tokens->values.data() + (p - span.first) * hidden;
        soft.insert(soft.end(), row, row + hidden);
      }
    }
  }
  View<const float, 2> soft_view() const {
    if (soft.empty()) return {};
    return {soft.data(), {static_cast<int64_t>(soft.size()) / hidden, hidden}};
  }
};

void check_room(const PreparedPrompt& prompt, const SequenceCache& cache) {
  const int64_t tokens = static_cast<int64_t>(prompt.ids.size());
  if (tokens == 0) throw Error(ErrorCode::kInvalidArgument, "the prompt is empty: expected at least one token");
  if (tokens > cache.context())
    throw Error(ErrorCode::kContextFull, "the prompt has " + std::to_string(tokens) +
                                             " tokens, the context has room for " + std::to_string(cache.context()));
}

void prefill(Machine& machine, const LanguageModel& model, SequenceCache& cache, const GenerationRequest& request,
             View<float, 2> logits, EventSink* sink) {
  const int64_t tokens = static_cast<int64_t>(request.prompt.ids.size()), start = cache.length();
  SequenceCache* const caches[] = {&cache};
  for (int64_t first = start; first < tokens;) {
    const int64_t count = std::min(request.chunk, tokens - first);
    Chunk chunk(request.prompt, first, count);
    const bool last = first + count == tokens;
    chunk.rows.back().wants_logits = last;
    const Batch batch{chunk.rows, caches, chunk.soft_view()};
    const View<float, 2> out = last ? logits : View<float, 2>{nullptr, {0, logits.dim[1]}};
    machine.run(request.cancelled, [&](Context& ctx) {
      ctx.check_cancelled();
      model.forward(ctx, batch, out);
    });
    first += count;
    if (sink) sink->on_prefill(first - start, tokens - start);
  }
}

}  // namespace

void prompt_logits(Machine& machine, const LanguageModel& model, SequenceCache& cache, const PreparedPrompt& prompt,
                   int64_t first, int64_t chunk, const std::atomic<bool>* cancelled,
                   const std::function<void(int64_t, View<const float, 2>)>& on_rows) {
  check_room(prompt, cache);
  const int64_t tokens = static_cast<int64_t>(prompt.ids.size()), vocab = model.vocab_size();
  SequenceCache* const caches[] = {&cache};
  std::vector<float> logits;
  for (int64_t begin = cache.length(); begin < tokens; begin += chunk) {
    const int64_t count = std::min(chunk, tokens - begin),
                  wanted = std::clamp<int64_t>(begin + count - first, 0, count);
    Chunk part(prompt, begin, count);
    for (int64_t i = count - wanted; i < count; ++i) part.rows[static_cast<size_t>(i)].wants_logits = true;
    logits.resize(static_cast<size_t>(wanted * vocab));
    const View<float, 2> out{logits.data(), {wanted, vocab}};
    machine.run(cancelled, [&](Context& ctx) {
      ctx.check_cancelled();
      model.forward(ctx, Batch{part.rows, caches, part.soft_view()}, out);
    });
    if (wanted > 0) on_rows(begin + count - wanted, out);
  }
}

namespace {

void decode_step(Machine& machine, const LanguageModel& model, SequenceCache& cache, int32_t id,
                 const std::atomic<bool>* cancelled, View<float, 2> logits) {
  const Row row{.sequence = 0, .position = static_cast<int32_t>(cache.length()), .id = id, .wants_logits = true};
  SequenceCache* const caches[] = {&cache};
  machine.run(cancelled, [&](Context& ctx) { model.forward(ctx, Batch{{&row, 1}, caches, {}}, logits); });
}

// Text of the answer as it grows: ids to characters, stop strings cut off.
class AnswerText {
 public:
  AnswerText(const Tokenizer* tokenizer, const std::vector<std::string>& stops, EventSink* sink)
      : stops_(stops), sink_(sink) {
    if (tokenizer)
      decoder_.emplace(*tokenizer);
    else if (!stops.empty())
      throw Error(ErrorCode::kUnsupported, "stop strings need a tokenizer, which this checkpoint lacks");
  }
  // Whether a stop string ended the answer.
  bool push(int32_t id) {
    if (decoder_) show(stops_.push(decoder_->push(id)));
    return stops_.stopped();
  }
  std::string finish() {
    if (decoder_) show(stops_.push(decoder_->flush()));
    show(stops_.finish());
    return text_;
  }

 private:
  void show(const std::string& text) {
    if (text.empty()) return;
    text_ += text;
    if (sink_) sink_->on_text(text);
  }

  std::optional<StreamDecoder> decoder_;
  StopDetector stops_;
  EventSink* sink_;
  std::string text_;
};

}  // namespace

Answer generate_answer(Machine& machine, const LanguageModel& model, const Tokenizer* tokenizer, SequenceCache& cache,
                       const GenerationRequest& request, EventSink* sink) {
  check_room(request.prompt, cache);
  AnswerText text(tokenizer, request.stop, sink);
  AnswerOptions options;
  options.sampling = request.sampling;
  Sampler sampler(options, model.choosable_ids(), model.vocab_size(), request.stop_ids);
  sampler.add_prompt(request.prompt.ids);
  std::vector<float> buffer(model.vocab_size());
  const View<float, 2> logits{buffer.data(), {1, model.vocab_size()}};
  Answer answer;
  answer.prompt_tokens = static_cast<int64_t>(request.prompt.ids.size());
  answer.timings.encode_seconds = request.prompt.encode_seconds;
  answer.timings.prefilled_tokens = answer.prompt_tokens - cache.length();
  answer.finish_reason = FinishReason::kLength;

  auto start = std::chrono::steady_clock::now();
  prefill(machine, model, cache, request, logits, sink);
  answer.timings.prefill_seconds = seconds_since(start);
  start = std::chrono::steady_clock::now();
  const int64_t most = request.max_tokens < 0 ? INT64_MAX : request.max_tokens;
  while (static_cast<int64_t>(answer.ids.size()) < most) {
    const int64_t position = answer.prompt_tokens + static_cast<int64_t>(answer.ids.size());
    const int32_t id = sampler.choose(buffer, position).id;
    sampler.accept(id);
    answer.ids.push_back(id);
    if (sink) sink->on_token(id);
    if (std::find(request.stop_ids.begin(), request.stop_ids.end(), id) != request.stop_ids.end() || text.push(id)) {
      answer.finish_reason = FinishReason::kStop;
      break;
    }
    if (static_cast<int64_t>(answer.ids.size()) == most || cache.length() == cache.context()) break;
    try {
      if (request.cancelled && request.cancelled->load()) throw Error(ErrorCode::kCancelled, "cancelled");
      decode_step(machine, model, cache, id, request.cancelled, logits);
    } catch (const Error& e) {
      if (e.code() != ErrorCode::kCancelled) throw;
      answer.finish_reason = FinishReason::kCancelled;
      break;
    }
  }
  answer.text = text.finish();
  answer.timings.decode_seconds = seconds_since(start);
  return answer;
}

}  // namespace g3n

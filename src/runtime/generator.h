// The decode loop: prompt chunks through the model, then token after token until something ends the answer.
#pragma once
#include <functional>

#include "g3n/engine.h"
#include "runtime/machine.h"
#include "seam/language_model.h"

namespace g3n {

class Tokenizer;

struct GenerationRequest {
  const PreparedPrompt&
      prompt;  // whole sequence; the first cache.length() positions are in the cache already, at least one is not
  const Sampling& sampling;
  int64_t max_tokens = -1;
  const std::vector<std::string>& stop;
  const std::vector<int32_t>& stop_ids;
  const std::atomic<bool>* cancelled = nullptr;
  int64_t chunk = 512;
};

// tokenizer may be null: the answer then has ids and no text. Throws kContextFull, kCancelled before the first token.
// Afterwards the cache holds the prompt and all generated ids but the last.
Answer generate_answer(Machine& machine, const LanguageModel& model, const Tokenizer* tokenizer, SequenceCache& cache,
                       const GenerationRequest& request, EventSink* sink);

// Logits of the prompt's positions from `first` on, in order, rows of a chunk together: on_rows(position of the first,
// [rows, vocab]).
void prompt_logits(Machine& machine, const LanguageModel& model, SequenceCache& cache, const PreparedPrompt& prompt,
                   int64_t first, int64_t chunk, const std::atomic<bool>* cancelled,
                   const std::function<void(int64_t, View<const float, 2>)>& on_rows);

}  // namespace g3n

// Fields that chat and completions share: model, sampling, stops, and all that is known and has no effect.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "server/generation.h"

namespace g3n::server {

struct CommonFields {
  AnswerOptions options;
  std::int64_t n = 1;
  bool is_stream = false, has_usage = false, has_timings = false, has_progress = false;
  int image_size = 0;
};

// logprobs differ between the two APIs: the caller reads them.
CommonFields read_common_fields(Fields& fields, const Service& service);

// Ids of a prompt; refuses what cannot fit before it is tokenised, and what does not fit after. bytes: of its texts.
void expect_may_fit(std::size_t bytes, const ModelFacts& facts, const std::string& param);
void expect_fits(std::size_t tokens, const ModelFacts& facts, const std::string& param);
ApiError too_long(std::size_t tokens, const ModelFacts& facts, const std::string& param);

std::chrono::milliseconds deadline_of(const Call& call);

// ---- parts of both answers ----
const char* finish_reason_of(const Answer& answer);
// results: all of the request; prompts: of how many prompts, each of which has results.size() / prompts choices.
JsonNode usage_of(const std::vector<Result>& results, std::size_t prompts, std::int64_t image_tokens,
                  std::int64_t audio_tokens);
JsonNode g3n_object(const std::vector<Result>& results);
JsonNode timings_of(const std::vector<Result>& results);
// -infinity has no place in JSON.
JsonNode logprob_node(float logprob);

}  // namespace g3n::server

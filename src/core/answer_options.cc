// Checks of what is asked of an answer. They know no model: ids are held against the vocabulary by the sampler.
#include <algorithm>
#include <cmath>
#include <sstream>
#include <string>

#include "g3n/error.h"
#include "g3n/options.h"

namespace g3n {
namespace {

template <class T>
void check(bool good, const char* name, T value, const char* wanted) {
  if (good) return;
  std::ostringstream text;
  text << name << ": expected " << wanted << ", got " << value;
  throw Error(ErrorCode::kInvalidArgument, text.str());
}

void check_ids(const std::vector<int32_t>& ids, const char* name) {
  for (int32_t id : ids) check(id >= 0, name, id, "token ids of at least 0");
}

void check_biases(const std::vector<std::pair<int32_t, float>>& biases) {
  std::vector<int32_t> ids;
  for (const auto& [id, bias] : biases) {
    check(id >= 0, "logit-bias", id, "token ids of at least 0");
    if (!std::isfinite(bias)) check(false, ("logit-bias of id " + std::to_string(id)).c_str(), bias, "a finite number");
    ids.push_back(id);
  }
  std::sort(ids.begin(), ids.end());
  const auto twice = std::adjacent_find(ids.begin(), ids.end());
  if (twice != ids.end()) check(false, "logit-bias", *twice, "each token id once");
}

}  // namespace

void check_sampling(const Sampling& s) {
  check(std::isfinite(s.temperature) && s.temperature >= 0, "temperature", s.temperature, "a number of at least 0");
  check(s.top_k >= 0, "top-k", s.top_k, "an integer of at least 0 (0: all)");
  check(s.top_p > 0 && s.top_p <= 1, "top-p", s.top_p, "a number in (0, 1]");
  check(s.min_p >= 0 && s.min_p <= 1, "min-p", s.min_p, "a number in [0, 1]");
  // Scores are float: far outside, every penalised score would be 0 or past its range.
  check(s.repetition_penalty >= 1e-30 && s.repetition_penalty <= 1e30, "repetition-penalty", s.repetition_penalty,
        "a positive number in [1e-30, 1e30]");
  check(std::isfinite(s.presence_penalty), "presence-penalty", s.presence_penalty, "a finite number");
  check(std::isfinite(s.frequency_penalty), "frequency-penalty", s.frequency_penalty, "a finite number");
}

void check_answer_options(const AnswerOptions& o) {
  check_sampling(o.sampling);
  check(o.max_tokens >= -1, "max-tokens", o.max_tokens, "an integer of at least -1 (-1: until the context is full)");
  check(o.min_tokens >= 0, "min-tokens", o.min_tokens, "an integer of at least 0");
  for (const std::string& text : o.stop) check(!text.empty(), "stop", "an empty one", "texts");
  check_ids(o.stop_ids, "stop-ids");
  check_ids(o.extra_stop_ids, "extra-stop-ids");
  check_biases(o.logit_bias);
  check_ids(o.banned_ids, "banned-ids");
  check(o.logprobs >= -1 && o.logprobs <= 20, "logprobs", o.logprobs, "an integer in 0..20, or -1 for none");
  check(o.prompt_logprobs >= -1 && o.prompt_logprobs <= 20, "prompt-logprobs", o.prompt_logprobs,
        "an integer in 0..20, or -1 for none");
}

}  // namespace g3n

// What chat and text completions share: a request as both read it, what their answers say of it, and the frames of a
// stream that hold no text.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "server/sampling_fields.h"

namespace g3n::server {

struct OpenAIRequest {
  CommonFields common;
  std::string prompt_name;  // of the field that the prompts came in
  std::vector<std::vector<std::int32_t>> prompts;
  std::vector<MediaPart> media;           // of the one prompt, if there are any
  std::vector<std::int64_t> likely_ends;  // IdsPrompt's, of each prompt
  bool has_logprobs = false;
};

// common.n sequences of each prompt, seeds counted up. The media go along.
GenerationRequest generation_of(const Call& call, OpenAIRequest& request);

// The same in every part of an answer.
struct AnswerFacts {
  AnswerFacts(const Service& service, const OpenAIRequest& request, const std::string& id_prefix);

  std::string id, model, fingerprint;
  std::int64_t created = 0;
  bool has_usage = false, has_timings = false, has_logprobs = false;
  std::size_t prompts = 1;
  std::int64_t image_tokens = 0, audio_tokens = 0;
};

class OpenAIFormat : public AnswerFormat {
 public:
  explicit OpenAIFormat(AnswerFacts facts) : facts_(std::move(facts)) {}

  std::string progress(const Progress& progress) override;
  std::string end(const std::vector<Result>& results) override;

 protected:
  // What each frame begins with.
  virtual JsonObject head() const = 0;
  std::string frame(JsonNode choice) const;
  JsonNode usage(const std::vector<Result>& results) const;

  const AnswerFacts facts_;
};

}  // namespace g3n::server

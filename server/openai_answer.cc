#include "server/openai_answer.h"

#include <algorithm>
#include <ctime>
#include <utility>

#include "server/sse.h"

namespace g3n::server {

GenerationRequest generation_of(const Call& call, OpenAIRequest& request) {
  GenerationRequest generation;
  generation.prompt_name = request.prompt_name;
  generation.is_stream = request.common.is_stream;
  generation.has_progress = request.common.has_progress;
  generation.deadline = deadline_of(call);
  std::int64_t images = 0, clips = 0;
  for (const MediaPart& part : request.media) {
    ++(std::holds_alternative<ImagePart>(part) ? images : clips);
    if (const auto* file = std::visit([](const auto& p) { return std::get_if<MediaBytes>(&p.source); }, part))
      generation.media_names.push_back(file->name);
  }
  generation.modality = images ? clips ? "image+audio" : "image" : clips ? "audio" : "";
  if (images) call.service.metrics.add("g3n_images_total", "", static_cast<double>(images));
  for (const auto& ids : request.prompts) {
    const auto prompt =
        std::make_shared<const Prompt>(IdsPrompt{ids, std::exchange(request.media, {}), request.likely_ends});
    for (std::int64_t i = 0; i < request.common.n; ++i) {
      generation.sequences.push_back({prompt, static_cast<std::int64_t>(ids.size()), request.common.options});
      AnswerOptions& options = generation.sequences.back().options;
      options.sampling.seed += static_cast<std::uint64_t>(i);
      options.client = call.key_name;
      if (call.service.options.caches_per_key) options.cache_salt = call.key_name + '\n' + options.cache_salt;
    }
  }
  return generation;
}

AnswerFacts::AnswerFacts(const Service& service, const OpenAIRequest& request, const std::string& id_prefix)
    : id(id_prefix + random_name(24)),
      model(service.options.model_id),
      fingerprint(service.fingerprint()),
      created(static_cast<std::int64_t>(std::time(nullptr))),
      has_usage(request.common.has_usage),
      has_timings(request.common.has_timings),
      has_logprobs(request.has_logprobs),
      prompts(request.prompts.size()) {
  for (const auto& ids : request.prompts) {
    image_tokens += std::count(ids.begin(), ids.end(), service.facts().image_id);
    audio_tokens += std::count(ids.begin(), ids.end(), service.facts().audio_id);
  }
}

std::string OpenAIFormat::progress(const Progress& progress) {
  JsonObject chunk = head();
  chunk.push_back({"choices", node(JsonList{})});
  if (facts_.has_usage) chunk.push_back({"usage", node(nullptr)});
  chunk.push_back({"prompt_progress", node(JsonObject{{"total", node(progress.total)},
                                                      {"cache", node(progress.cached)},
                                                      {"processed", node(progress.done)},
                                                      {"time_ms", node(progress.ms)},
                                                      {"stage", node(stage_name(progress.stage))}})});
  return sse_frame(node(std::move(chunk)));
}

std::string OpenAIFormat::end(const std::vector<Result>& results) {
  if (!facts_.has_usage && !facts_.has_timings) return sse_done();
  JsonObject chunk = head();
  chunk.push_back({"choices", node(JsonList{})});
  if (facts_.has_usage) chunk.push_back({"usage", usage(results)});
  chunk.push_back({"g3n", g3n_object(results)});
  if (facts_.has_timings) chunk.push_back({"timings", timings_of(results)});
  return sse_frame(node(std::move(chunk))) + sse_done();
}

std::string OpenAIFormat::frame(JsonNode choice) const {
  JsonObject chunk = head();
  chunk.push_back({"choices", node(JsonList{std::move(choice)})});
  if (facts_.has_usage) chunk.push_back({"usage", node(nullptr)});
  return sse_frame(node(std::move(chunk)));
}

JsonNode OpenAIFormat::usage(const std::vector<Result>& results) const {
  return usage_of(results, facts_.prompts, facts_.image_tokens, facts_.audio_tokens);
}

}  // namespace g3n::server

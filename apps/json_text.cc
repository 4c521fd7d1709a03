// See json_text.h: answers and tokens.
#include "json_text.h"

#include "g3n/error.h"

namespace g3n::cli {

std::string answer_json(const Answer& answer, const Engine& engine) {
  const Timings& t = answer.timings;
  const auto token = [&engine](std::int32_t id, float logprob) {
    JsonObject one = {{"id", {int64_t{id}}}};
    if (engine.info().has_tokenizer) one.push_back({"piece", {engine.piece(id)}});
    one.push_back({"logprob", {static_cast<double>(logprob)}});
    return one;
  };
  JsonList ids, logprobs;
  for (const std::int32_t id : answer.ids) ids.push_back({int64_t{id}});
  for (const TokenLogprob& chosen : answer.logprobs) {
    JsonList top;
    for (const auto& [id, logprob] : chosen.top) top.push_back({token(id, logprob)});
    JsonObject one = token(chosen.id, chosen.logprob);
    one.push_back({"top", {std::move(top)}});
    logprobs.push_back({std::move(one)});
  }
  JsonObject json = {{"text", {answer.text}},
                     {"ids", {std::move(ids)}},
                     {"finish_reason", {finish_reason_name(answer.finish_reason)}},
                     {"prompt_tokens", {int64_t{answer.prompt_tokens}}},
                     {"completion_tokens", {static_cast<int64_t>(answer.ids.size())}},
                     {"timings",
                      {JsonObject{{"load_seconds", {engine.info().load_seconds}},
                                  {"encode_seconds", {t.encode_seconds}},
                                  {"prefill_seconds", {t.prefill_seconds}},
                                  {"decode_seconds", {t.decode_seconds}},
                                  {"prefilled_tokens", {int64_t{t.prefilled_tokens}}}}}}};
  if (!logprobs.empty()) json.push_back({"logprobs", {std::move(logprobs)}});
  return to_json({std::move(json)});
}

std::string tokens_json(const std::vector<std::int32_t>& ids, const std::vector<std::string>& pieces) {
  JsonList id_list, piece_list;
  for (const std::int32_t id : ids) id_list.push_back({int64_t{id}});
  for (const std::string& piece : pieces) piece_list.push_back({piece});
  return to_json({JsonObject{{"ids", {std::move(id_list)}}, {"pieces", {std::move(piece_list)}}}});
}

}  // namespace g3n::cli

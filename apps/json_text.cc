// See json_text.h: answers and tokens.
#include "json_text.h"

#include "g3n/error.h"

namespace g3n::cli {

std::string answer_json(const Answer& answer, double load_seconds) {
  const Timings& t = answer.timings;
  JsonList ids;
  for (const std::int32_t id : answer.ids) ids.push_back({int64_t{id}});
  return to_json({JsonObject{{"text", {answer.text}},
                             {"ids", {std::move(ids)}},
                             {"finish_reason", {finish_reason_name(answer.finish_reason)}},
                             {"prompt_tokens", {int64_t{answer.prompt_tokens}}},
                             {"completion_tokens", {static_cast<int64_t>(answer.ids.size())}},
                             {"timings",
                              {JsonObject{{"load_seconds", {load_seconds}},
                                          {"encode_seconds", {t.encode_seconds}},
                                          {"prefill_seconds", {t.prefill_seconds}},
                                          {"decode_seconds", {t.decode_seconds}},
                                          {"prefilled_tokens", {int64_t{t.prefilled_tokens}}}}}}}});
}

std::string tokens_json(const std::vector<std::int32_t>& ids, const std::vector<std::string>& pieces) {
  JsonList id_list, piece_list;
  for (const std::int32_t id : ids) id_list.push_back({int64_t{id}});
  for (const std::string& piece : pieces) piece_list.push_back({piece});
  return to_json({JsonObject{{"ids", {std::move(id_list)}}, {"pieces", {std::move(piece_list)}}}});
}

}  // namespace g3n::cli

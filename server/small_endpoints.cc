// Endpoints that run no model (spec/server.md 2 and 12).
#include <unistd.h>

#include <ctime>
#include <fstream>

#include "server/endpoints.h"
#include "server/sampling_fields.h"
#include "server/sounds.h"

namespace g3n::server {
namespace {

std::string rfc3339(std::int64_t seconds) {
  const std::time_t time = seconds;
  std::tm parts{};
  gmtime_r(&time, &parts);
  char text[32];
  return {text, std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts)};
}

JsonNode modalities_node(const Service& service) {
  const ModelInfo& info = service.engine().info();
  JsonList list{node("text")};
  if (info.has_vision) list.push_back(node("image"));
  if (info.has_audio) list.push_back(node("audio"));
  return node(std::move(list));
}

JsonNode model_object(const Service& service) {
  const ModelFacts& facts = service.facts();
  const std::string& id = service.options.model_id;
  return node(JsonObject{{"id", node(id)},
                         {"object", node("model")},
                         {"type", node("model")},
                         {"created", node(facts.created)},
                         {"created_at", node(rfc3339(facts.created))},
                         {"owned_by", node("google")},
                         {"display_name", node(id)},
                         {"lifecycle", node("active")},
                         {"max_model_len", node(facts.context)},
                         {"context_length", node(facts.context)},
                         {"max_input_tokens", node(facts.context)},
                         {"max_tokens", node(facts.context)},
                         {"architecture", node(JsonObject{{"input_modalities", modalities_node(service)},
                                                          {"output_modalities", node(JsonList{node("text")})}})},
                         {"modalities", modalities_node(service)},
                         {"slices", node(JsonList{})},
                         {"adapters", node(JsonList{})}});
}

JsonNode template_node(const Service& service) {
  const std::string& text = service.engine().info().chat_template;
  return text.empty() ? node(nullptr) : node(text);
}

std::int64_t resident_bytes() {
  std::ifstream in("/proc/self/statm");
  std::int64_t all = 0, resident = 0;
  in >> all >> resident;
  return resident * ::sysconf(_SC_PAGESIZE);
}

void send(Call& call, const JsonNode& body, int status = 200) {
  call.note(status, "", "");
  call.reply(json_response(body, status));
}

}  // namespace

void health(Call& call) {
  const Service::State state = call.service.state();
  const bool is_ready = state == Service::State::kReady;
  const char* word = is_ready ? "ok" : state == Service::State::kLoading ? "loading" : "draining";
  HttpResponse response = json_response(node(JsonObject{{"status", node(word)}}), is_ready ? 200 : 503);
  if (!is_ready) response.headers.emplace_back("Retry-After", "1");
  call.note(response.status, "", "");
  call.reply(std::move(response));
}

void live(Call& call) { send(call, node(JsonObject{{"status", node("ok")}})); }

void metrics(Call& call, std::int64_t connections) {
  const Service& service = call.service;
  const bool is_loaded = service.state() != Service::State::kLoading;
  const Stats stats = is_loaded ? service.engine().stats() : Stats{};
  const auto value = [](std::int64_t number) { return static_cast<double>(number); };
  std::vector<Metrics::Gauge> gauges = {
      {"g3n_steps_total", "", "Steps of the model.", value(stats.steps), true},
      {"g3n_requests_running", "", "Sequences that the model works on.", value(stats.running)},
      {"g3n_requests_waiting", "", "Sequences that wait for a place.", value(stats.waiting)},
      {"g3n_connections", "", "Open connections.", value(connections)},
      {"g3n_kv_bytes", "state=\"used\"", "Bytes of K and V.", value(stats.cache_bytes - stats.idle_cache_bytes)},
      {"g3n_kv_bytes", "state=\"cached\"", "Bytes of K and V.", value(stats.idle_cache_bytes)},
      {"g3n_kv_limit_bytes", "", "What all of K and V may take.", value(stats.cache_limit_bytes)},
      {"g3n_pauses_total", "", "Requests that had to wait for memory while they ran.", value(stats.pauses), true},
      {"g3n_prefix_cache_lookups_total", "", "Prompts that looked for their beginning.", value(stats.prefix_lookups),
       true},
      {"g3n_prefix_cache_hits_total", "", "Prompts of which a beginning was there.", value(stats.prefix_hits), true},
      {"g3n_prefix_cache_evictions_total", "", "Beginnings that made room.", value(stats.prefix_evictions), true},
      {"g3n_media_cache_lookups_total", "", "Media that looked for their soft tokens.", value(stats.media_lookups),
       true},
      {"g3n_media_cache_hits_total", "", "Media that were encoded before.", value(stats.media_hits), true},
      {"g3n_resident_bytes", "", "Memory of the process.", value(resident_bytes())},
      {"g3n_model_loaded", "", "Whether the model is loaded.", is_loaded ? 1.0 : 0.0},
      {"g3n_build_info",
       "version=" + label_value(G3N_VERSION) + ",recipe=" + label_value(is_loaded ? service.facts().recipe : "") +
           ",isa=" + label_value(is_loaded ? service.engine().info().kernels : ""),
       "What runs.", 1}};
  Metrics::Given step_rows{
      "g3n_step_rows", "Rows of a step: tokens of prompts and answers.", {}, {}, value(stats.rows)};
  step_rows.counts.assign(stats.step_rows.begin(), stats.step_rows.end());
  for (std::size_t i = 0; i + 1 < stats.step_rows.size(); ++i) step_rows.bounds.push_back(value(std::int64_t{1} << i));
  call.note(200, "", "");
  call.reply(HttpResponse{200,
                          {{"Content-Type", "text/plain; version=0.0.4; charset=utf-8"}},
                          service.metrics.text(service.options.model_id, gauges, {step_rows}),
                          {}});
}

void models(Call& call) {
  const std::string& id = call.service.options.model_id;
  send(call, node(JsonObject{{"object", node("list")},
                             {"data", node(JsonList{model_object(call.service)})},
                             {"models", node(JsonList{})},
                             {"has_more", node(false)},
                             {"first_id", node(id)},
                             {"last_id", node(id)}}));
}

void model(Call& call) {
  const auto& options = call.service.options;
  bool is_known = call.rest == options.model_id;
  for (const std::string& alias : options.aliases) is_known = is_known || call.rest == alias;
  if (!is_known)
    throw ApiError(404, "model_not_found",
                   "expected the model " + quoted(options.model_id) + ", found " + quoted(call.rest), "model");
  send(call, model_object(call.service));
}

void props(Call& call) {
  const Service& service = call.service;
  const Sampling& sampling = service.engine().default_sampling();
  const ModelInfo& info = service.engine().info();
  JsonObject limits{{"max_queue", node(service.options.max_queue)},
                    {"max_sequences", node(service.options.max_sequences)}};
  for (const auto& [name, value] : limit_values(service.options)) limits.push_back({name, node(value)});
  send(call, node(JsonObject{
                 {"default_generation_settings",
                  node(JsonObject{{"n_ctx", node(service.facts().context)},
                                  {"params", node(JsonObject{{"temperature", node(sampling.temperature)},
                                                             {"top_k", node(sampling.top_k)},
                                                             {"top_p", node(sampling.top_p)},
                                                             {"min_p", node(sampling.min_p)},
                                                             {"seed", node(-1)}})}})},
                 {"total_slots", node(service.options.max_sequences)},
                 {"model_alias", node(service.options.model_id)},
                 {"chat_template", template_node(service)},
                 {"modalities", node(JsonObject{{"vision", node(info.has_vision)}, {"audio", node(info.has_audio)}})},
                 {"build_info", node(std::string("g3n-") + G3N_VERSION)},
                 {"recipe", node(service.facts().recipe)},
                 {"limits", node(std::move(limits))},
                 {"grammar", node(false)}}));
}

void tokenize(Call& call) {
  const Service& service = call.service;
  const Engine& engine = service.engine();
  const JsonNode body = parse_body(call.request.body);
  Fields fields(body, "");
  service.check_model(fields);
  const auto content = fields.text("content"), prompt = fields.text("prompt");
  const JsonNode* messages = fields.find("messages");
  const bool add_special =
      fields.boolean("add_special").value_or(false) || fields.boolean("add_special_tokens").value_or(false);
  const bool special = fields.boolean("special").value_or(true);
  const bool with_pieces = fields.boolean("with_pieces").value_or(false);
  const auto add_generation_prompt = fields.boolean("add_generation_prompt");
  const auto continue_final_message = fields.boolean("continue_final_message");
  if ((content ? 1 : 0) + (prompt ? 1 : 0) + (messages ? 1 : 0) != 1)
    throw ApiError(400, "missing_required_parameter", "expected one of content, prompt and messages", "content");
  call.ignored = fields.ignored(service.options.is_strict);
  std::vector<std::int32_t> ids;
  if (messages) {
    ApiChat chat = read_messages(*messages, add_generation_prompt, continue_final_message, service.media_rules());
    take_ignored(chat, service.options.is_strict, call.ignored);
    decode_sounds(call, chat.prompt);
    ids = engine.tokenize(chat.prompt);
  } else {
    const std::string& text = content ? *content : *prompt;
    ids = engine.encode(text, special ? ControlTokens::kParse : ControlTokens::kAsText);
    if (add_special && text.compare(0, service.facts().bos.size(), service.facts().bos) != 0)
      ids.insert(ids.begin(), engine.encode(service.facts().bos, ControlTokens::kParse).at(0));
  }
  JsonList tokens;
  for (const std::int32_t id : ids)
    tokens.push_back(with_pieces ? node(JsonObject{{"id", node(id)}, {"piece", node(engine.piece(id))}}) : node(id));
  send(call, node(JsonObject{{"tokens", node(std::move(tokens))},
                             {"count", node(ids.size())},
                             {"max_model_len", node(service.facts().context)}}));
}

void detokenize(Call& call) {
  const Service& service = call.service;
  const JsonNode body = parse_body(call.request.body);
  Fields fields(body, "");
  service.check_model(fields);
  const JsonList& list = list_at(fields.required("tokens"), "tokens", std::size_t{1} << 20);
  call.ignored = fields.ignored(service.options.is_strict);
  std::vector<std::int32_t> ids;
  for (std::size_t i = 0; i < list.size(); ++i)
    ids.push_back(static_cast<std::int32_t>(
        integer_at(list[i], "tokens[" + std::to_string(i) + "]", 0, service.engine().info().vocab_size - 1)));
  const std::string text = service.engine().decode(ids, /*skip_special=*/false);
  send(call, node(JsonObject{{"content", node(text)}, {"prompt", node(text)}}));
}

void tokenizer_info(Call& call) {
  const Service& service = call.service;
  const TokenTexts& tokens = service.engine().info().tokens;
  JsonList ends;
  for (const std::int32_t id : service.engine().default_stop_ids()) ends.push_back(node(id));
  send(call, node(JsonObject{{"bos_token", node(tokens.bos)},
                             {"eos_token", node(tokens.eos)},
                             {"pad_token", node(tokens.pad)},
                             {"chat_template", template_node(service)},
                             {"vocab_size", node(service.engine().info().vocab_size)},
                             {"end_ids", node(std::move(ends))}}));
}

void apply_template(Call& call) {
  const Service& service = call.service;
  const JsonNode body = parse_body(call.request.body);
  Fields fields(body, "");
  service.check_model(fields);
  fields.refuse("tools", "calls of tools are not supported by this build");
  const auto add_generation_prompt = fields.boolean("add_generation_prompt");
  const auto continue_final_message = fields.boolean("continue_final_message");
  ApiChat chat =
      read_messages(fields.required("messages"), add_generation_prompt, continue_final_message, service.media_rules());
  call.ignored = fields.ignored(service.options.is_strict);
  take_ignored(chat, service.options.is_strict, call.ignored);
  decode_sounds(call, chat.prompt);
  send(call, node(JsonObject{{"prompt", node(service.engine().render(chat.prompt))}}));
}

}  // namespace g3n::server

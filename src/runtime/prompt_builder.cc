#include "runtime/prompt_builder.h"

#include <algorithm>
#include <string>

#include "core/printable.h"
#include "g3n/error.h"
#include "runtime/sequence.h"
#include "tokenizer/tokenizer.h"

namespace g3n {
namespace {

// "3 images" / "1 image"
std::string count_of(int64_t n, const std::string& what) {
  return std::to_string(n) + " " + what + (n == 1 ? "" : "s");
}

int64_t count_kind(std::span<const MediaPart> media, MediaKind kind) {
  return std::count_if(media.begin(), media.end(), [&](const MediaPart& part) { return kind_of(part) == kind; });
}

// An added token of a tokenizer that is not the model's, or an id that somebody made up.
[[noreturn]] void fail_beyond_table(const OpenedModel& model, int32_t id, int64_t position) {
  const bool is_named = model.has_tokenizer() && model.tokenizer().has_piece(id);
  throw Error(ErrorCode::kInvalidArgument,
              "the prompt's token " + std::to_string(position) + " has id " + std::to_string(id) +
                  (is_named ? " ('" + printable_start(model.tokenizer().piece(id), 60) + "')" : "") +
                  ", the model's table has " + std::to_string(model.numbers().vocab_size) + " rows" +
                  (is_named ? ": the tokenizer's files have a token that the model does not know; take the model's own "
                              "files, or leave the token out"
                            : ""));
}

PromptEnd end_of(const ChatPrompt& prompt) {
  return prompt_end(prompt.add_generation_prompt && !prompt.continue_final_message, prompt.continue_final_message);
}

}  // namespace

std::vector<MediaPart> media_of(const std::vector<Message>& messages) {
  std::vector<MediaPart> media;
  for (const Message& message : messages) {
    if (message.role == "system") continue;  // the template drops media of a system message
    for (const Part& part : message.parts) {
      if (const auto* image = std::get_if<ImagePart>(&part)) media.emplace_back(*image);
      if (const auto* audio = std::get_if<AudioPart>(&part)) media.emplace_back(*audio);
    }
  }
  return media;
}

std::string PromptBuilder::render(const ChatPrompt& prompt) const {
  return text_of(g3n::render(prompt.messages, end_of(prompt)));
}

std::vector<int32_t> PromptBuilder::encode(const std::vector<Segment>& segments,
                                           std::span<const MediaPart> media) const {
  const MediaCounts counts = count_media(segments);
  const auto expect = [&](MediaKind kind, int64_t placeholders) {
    const int64_t came = count_kind(media, kind);
    const std::string name = model_.kinds().of(kind).name;
    if (placeholders != came)
      throw Error(ErrorCode::kInvalidArgument, "the prompt has " + count_of(placeholders, name + " placeholder") +
                                                   ", but " + count_of(came, name) + " came with it");
  };
  expect(MediaKind::kImage, counts.images);
  expect(MediaKind::kAudio, counts.audios);
  const auto soft_tokens = [&](MediaKind kind) { return static_cast<int>(model_.kinds().of(kind).soft_tokens); };
  return model_.tokenizer().encode(
      expand_media(segments, {soft_tokens(MediaKind::kImage), soft_tokens(MediaKind::kAudio)}));
}

std::vector<int32_t> PromptBuilder::tokenize(const Prompt& prompt) const {
  if (const auto* prepared = std::get_if<std::shared_ptr<const PreparedPrompt>>(&prompt)) return (*prepared)->ids;
  if (const auto* ids = std::get_if<IdsPrompt>(&prompt)) return ids->ids;
  if (const auto* chat = std::get_if<ChatPrompt>(&prompt)) return encode(*chat, media_of(chat->messages));
  const RawPrompt& raw = std::get<RawPrompt>(prompt);
  std::vector<Segment> segments = model_.tokenizer().split(raw.text);
  const std::string bos = model_.tokenizer().piece(model_.tokenizer().special().bos);
  if (segments.empty() || !segments[0].is_control || segments[0].text != bos)
    segments.insert(segments.begin(), {.text = bos, .is_control = true});
  return encode(segments, raw.media);
}

PromptPlan PromptBuilder::plan(const Prompt& prompt, bool encodes_all) const {
  if (const auto* prepared = std::get_if<std::shared_ptr<const PreparedPrompt>>(&prompt)) {
    expect_room(static_cast<int64_t>((*prepared)->ids.size()), context_);
    return {.prompt = **prepared, .media = {}, .keep_at = {}};
  }
  const KnownMedia known = encodes_all ? KnownMedia{} : known_;
  if (const auto* raw = std::get_if<RawPrompt>(&prompt)) return plan_ids(tokenize(prompt), raw->media, {}, known);
  if (const auto* ids = std::get_if<IdsPrompt>(&prompt)) return plan_ids(ids->ids, ids->media, ids->likely_ends, known);
  IdsPrompt chat = as_ids(std::get<ChatPrompt>(prompt));
  return plan_ids(std::move(chat.ids), chat.media, std::move(chat.likely_ends), known);
}

PromptPlan PromptBuilder::plan_ids(std::vector<int32_t> ids, std::span<const MediaPart> media,
                                   std::vector<int64_t> likely_ends, const KnownMedia& known) const {
  if (const auto turn = last_user_turn(ids)) likely_ends.push_back(*turn);
  PromptPlan plan = place({}, std::move(ids), media, known);
  plan.keep_at = std::move(likely_ends);
  return plan;
}

std::vector<int32_t> PromptBuilder::encode(const ChatPrompt& prompt, std::span<const MediaPart> media) const {
  return encode(g3n::render(prompt.messages, end_of(prompt)), media);
}

IdsPrompt PromptBuilder::as_ids(const ChatPrompt& prompt) const {
  IdsPrompt out{{}, media_of(prompt.messages)};
  out.ids = encode(prompt, out.media);
  if (const auto end = end_of_system(prompt, out.ids)) out.likely_ends.push_back(*end);
  return out;
}

std::optional<int64_t> PromptBuilder::end_of_system(const ChatPrompt& prompt, std::span<const int32_t> ids) const {
  if (prompt.messages.size() < 2 || prompt.messages[0].role != "system") return {};
  const std::vector<Message> alone{prompt.messages[0], Message::text("user", "")};
  const std::vector<int32_t> system = model_.tokenizer().encode(g3n::render(alone, PromptEnd::kNothing));
  return common_prefix({system, {}}, {ids, {}});
}

std::optional<int64_t> PromptBuilder::last_user_turn(std::span<const int32_t> ids) const {
  if (!model_.has_tokenizer()) return {};
  const int32_t start = model_.tokenizer().special().start_of_turn;
  const std::vector<int32_t> user = model_.tokenizer().encode("user");
  for (size_t i = ids.size(); i-- > 1 && !user.empty();)
    if (ids[i - 1] == start && ids[i] == user[0]) return static_cast<int64_t>(i - 1);
  return {};
}

PromptPlan PromptBuilder::plan_turn(const PreparedPrompt& history, const Message& user) const {
  const std::vector<Message> messages{user};
  std::vector<Segment> segments = g3n::render(messages, PromptEnd::kGenerate);
  // In the place of <bos>: the newline that the model does not write behind <end_of_turn>.
  segments[0] = {.text = "\n"};
  const std::vector<MediaPart> media = media_of(messages);
  PromptPlan plan = place(history, encode(segments, media), media, known_);
  plan.keep_at = {static_cast<int64_t>(history.ids.size())};
  return plan;
}

// Soft tokens of the media in order, and the side vocabularies' vectors of all other ids beyond the text (processor.md
// 5). Counts and room first, then every file, then the encoders.
PromptPlan PromptBuilder::place(PreparedPrompt before, std::vector<int32_t> ids, std::span<const MediaPart> media,
                                const KnownMedia& known) const {
  const MediaKinds& kinds = model_.kinds();
  const int64_t begin = static_cast<int64_t>(before.ids.size());
  expect_room(begin + static_cast<int64_t>(ids.size()), context_);
  std::vector<int64_t> positions[kMediaKindCount];
  std::vector<int64_t> sides;
  PromptPlan plan{.prompt = std::move(before), .media = {}, .keep_at = {}};
  plan.prompt.token_types.resize(static_cast<size_t>(begin));
  for (size_t i = 0; i < ids.size(); ++i) {
    const int64_t at = begin + static_cast<int64_t>(i);
    const MediaKindFacts* soft = kinds.of_soft_id(ids[i]);
    plan.prompt.token_types.push_back(soft ? soft->token_type : 0);
    if (soft)
      positions[static_cast<size_t>(soft->kind)].push_back(at);
    else if (kinds.of_side_id(ids[i]))
      sides.push_back(at);
    else if (ids[i] < 0 || ids[i] >= model_.numbers().vocab_size)
      fail_beyond_table(model_, ids[i], at);
  }
  plan.prompt.ids.insert(plan.prompt.ids.end(), ids.begin(), ids.end());
  for (const MediaKindFacts& kind : kinds.all()) {
    const int64_t came = count_kind(media, kind.kind),
                  found = static_cast<int64_t>(positions[static_cast<size_t>(kind.kind)].size());
    if (found != came * kind.soft_tokens)
      throw Error(ErrorCode::kInvalidArgument, "the prompt has " + std::to_string(found) + " " + kind.name +
                                                   " soft tokens, " + count_of(came, kind.name) + " of " +
                                                   std::to_string(kind.soft_tokens) + " soft tokens came with it");
  }

  int64_t seen[kMediaKindCount] = {};
  for (const MediaPart& part : media) {
    const MediaKindFacts& kind = kinds.of(kind_of(part));
    const size_t k = static_cast<size_t>(kind.kind);
    PendingMedium pending{.kind = kind.kind, .index = seen[k]++, .count = count_kind(media, kind.kind)};
    pending.rows = kind.soft_tokens;
    pending.input = model_.read(part, image_size_, known);
    // One span per run of adjacent positions.
    const std::span<const int64_t> places =
        std::span(positions[k])
            .subspan(static_cast<size_t>(pending.index * pending.rows), static_cast<size_t>(pending.rows));
    for (size_t from = 0, to = 0; from < places.size(); from = to) {
      for (to = from + 1; to < places.size() && places[to] == places[to - 1] + 1;) ++to;
      pending.spans.push_back(plan.prompt.soft.size());
      plan.prompt.soft.push_back({.first = places[from],
                                  .row = static_cast<int64_t>(from),
                                  .count = static_cast<int64_t>(to - from),
                                  .tokens = pending.input.ready,
                                  .content = pending.input.content});
    }
    if (!pending.input.ready) plan.media.push_back(std::move(pending));
  }
  for (const int64_t at : sides) {
    const int32_t id = plan.prompt.ids[static_cast<size_t>(at)];
    plan.media.push_back(
        {.kind = kinds.of_side_id(id)->kind, .side_id = id, .rows = 1, .spans = {plan.prompt.soft.size()}});
    plan.prompt.soft.push_back({.first = at, .row = 0, .count = 1, .tokens = nullptr, .content = {}});
  }
  for (const PendingMedium& pending : plan.media) load_encoder_(pending.kind);

  // Spans ascend in the prompt; the pending ones are told their new places.
  std::vector<size_t> order(plan.prompt.soft.size()), place_of(order.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::sort(order.begin(), order.end(),
            [&](size_t a, size_t b) { return plan.prompt.soft[a].first < plan.prompt.soft[b].first; });
  std::vector<SoftSpan> sorted;
  for (size_t i = 0; i < order.size(); ++i) {
    place_of[order[i]] = i;
    sorted.push_back(std::move(plan.prompt.soft[order[i]]));
  }
  plan.prompt.soft = std::move(sorted);
  for (PendingMedium& pending : plan.media)
    for (size_t& span : pending.spans) span = place_of[span];
  return plan;
}

}  // namespace g3n

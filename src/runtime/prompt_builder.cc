#include "runtime/prompt_builder.h"

#include <algorithm>
#include <chrono>
#include <span>
#include <string>

#include "tokenizer/tokenizer.h"

namespace g3n {
namespace {

// "3 images" / "1 image"
std::string count_of(int64_t n, const std::string& what) {
  return std::to_string(n) + " " + what + (n == 1 ? "" : "s");
}

void expect_count(int64_t placeholders, int64_t media, const std::string& what) {
  if (placeholders != media)
    throw Error(ErrorCode::kInvalidArgument, "the prompt has " + count_of(placeholders, what + " placeholder") +
                                                 ", but " + count_of(media, what) + " came with it");
}

void expect_positions(const std::vector<int64_t>& positions, int64_t count, int64_t each, const std::string& what) {
  if (static_cast<int64_t>(positions.size()) != count * each)
    throw Error(ErrorCode::kInvalidArgument, "the prompt has " + std::to_string(positions.size()) + " " + what +
                                                 " soft tokens, " + count_of(count, what) + " of " +
                                                 std::to_string(each) + " soft tokens came with it");
}

}  // namespace

PromptBuilder::Media PromptBuilder::media_of(const std::vector<Message>& messages) {
  Media media;
  for (const Message& message : messages) {
    if (message.role == "system") continue;  // the template drops media of a system message
    for (const Part& part : message.parts) {
      if (const auto* image = std::get_if<ImagePart>(&part)) media.images.push_back(image);
      if (const auto* audio = std::get_if<AudioPart>(&part)) media.audios.push_back(audio);
    }
  }
  return media;
}

PromptBuilder::Media PromptBuilder::media_of(const Prompt& prompt) {
  if (const auto* chat = std::get_if<ChatPrompt>(&prompt)) return media_of(chat->messages);
  Media media;
  auto collect = [&media](const auto& p) {
    for (const ImagePart& image : p.images) media.images.push_back(&image);
    for (const AudioPart& audio : p.audios) media.audios.push_back(&audio);
  };
  if (const auto* raw = std::get_if<RawPrompt>(&prompt)) collect(*raw);
  if (const auto* ids = std::get_if<IdsPrompt>(&prompt)) collect(*ids);
  return media;
}

std::string PromptBuilder::render(const ChatPrompt& prompt) const {
  return text_of(g3n::render(prompt.messages, prompt_end(prompt.add_generation_prompt, false)));
}

std::vector<int32_t> PromptBuilder::encode(const std::vector<Segment>& segments, const Media& media) const {
  const MediaCounts counts = count_media(segments);
  expect_count(counts.images, static_cast<int64_t>(media.images.size()), "image");
  expect_count(counts.audios, static_cast<int64_t>(media.audios.size()), "audio");
  const MediaTokens tokens{static_cast<int>(model_.media_ids().image_soft_tokens),
                           static_cast<int>(model_.media_ids().audio_soft_tokens)};
  return model_.tokenizer().encode(expand_media(segments, tokens));
}

std::vector<int32_t> PromptBuilder::tokenize(const Prompt& prompt) const {
  const Media media = media_of(prompt);
  if (const auto* ids = std::get_if<IdsPrompt>(&prompt)) return ids->ids;
  if (const auto* chat = std::get_if<ChatPrompt>(&prompt))
    return encode(g3n::render(chat->messages, prompt_end(chat->add_generation_prompt, false)), media);
  std::vector<Segment> segments = model_.tokenizer().split(std::get<RawPrompt>(prompt).text);
  const std::string bos = model_.tokenizer().piece(model_.tokenizer().special().bos);
  if (segments.empty() || !segments[0].is_control || segments[0].text != bos)
    segments.insert(segments.begin(), {.text = bos, .is_control = true});
  return encode(segments, media);
}

PreparedPrompt PromptBuilder::prepare(const Prompt& prompt, const std::atomic<bool>* cancelled) {
  return fill(tokenize(prompt), media_of(prompt), cancelled);
}

PreparedPrompt PromptBuilder::prepare_turn(const Message& user, const std::atomic<bool>* cancelled) {
  const std::vector<Message> messages{user};
  std::vector<Segment> segments = g3n::render(messages, PromptEnd::kGenerate);
  segments[0] = {.text =
                     "\n"};  // in the place of <bos>: the newline that the model does not write behind <end_of_turn>
  const Media media = media_of(messages);
  return fill(encode(segments, media), media, cancelled);
}

namespace {

// Soft tokens of one medium at its positions, one span per run of adjacent ones.
void place(const SoftTokens& tokens, std::span<const int64_t> positions, std::vector<SoftSpan>& spans) {
  const int64_t hidden = static_cast<int64_t>(tokens.values.size()) / tokens.rows;
  for (size_t begin = 0, end = 0; begin < positions.size(); begin = end) {
    for (end = begin + 1; end < positions.size() && positions[end] == positions[end - 1] + 1;) ++end;
    SoftTokens run{static_cast<int64_t>(end - begin),
                   {tokens.values.begin() + begin * hidden, tokens.values.begin() + end * hidden}};
    spans.push_back({positions[begin], std::make_shared<const SoftTokens>(std::move(run))});
  }
}

}  // namespace

// Soft tokens of the media in order, and the side vocabularies' vectors of all other ids beyond the text (processor.md
// 5).
PreparedPrompt PromptBuilder::fill(std::vector<int32_t> ids, const Media& media, const std::atomic<bool>* cancelled) {
  const auto start = std::chrono::steady_clock::now();
  const MediaIds& special = model_.media_ids();
  PreparedPrompt out;
  out.token_types.resize(ids.size());
  std::vector<int64_t> image_positions, audio_positions, side_positions;
  for (size_t i = 0; i < ids.size(); ++i) {
    const int64_t at = static_cast<int64_t>(i);
    if (ids[i] == special.image)
      image_positions.push_back(at), out.token_types[i] = 1;
    else if (ids[i] == special.audio)
      audio_positions.push_back(at), out.token_types[i] = 3;
    else if (model_.is_side_id(ids[i]))
      side_positions.push_back(at);
  }
  expect_positions(image_positions, static_cast<int64_t>(media.images.size()), special.image_soft_tokens, "image");
  expect_positions(audio_positions, static_cast<int64_t>(media.audios.size()), special.audio_soft_tokens, "audio");
  auto place_all = [&](const auto& items, const std::vector<int64_t>& positions, int64_t each, auto encode_one) {
    for (size_t k = 0; k < items.size(); ++k)
      place(machine_.run(cancelled, [&](Context& ctx) { return encode_one(ctx, *items[k]); }),
            std::span(positions).subspan(k * each, each), out.soft);
  };
  place_all(media.images, image_positions, special.image_soft_tokens,
            [&](Context& ctx, const ImagePart& p) { return model_.encode_image(ctx, p); });
  place_all(media.audios, audio_positions, special.audio_soft_tokens,
            [&](Context& ctx, const AudioPart& p) { return model_.encode_audio(ctx, p); });
  for (const int64_t at : side_positions)
    place(machine_.run(cancelled, [&](Context& ctx) { return model_.hard_embedding(ctx, ids[at]); }), {&at, 1},
          out.soft);
  if (release_encoders_ && !out.soft.empty()) machine_.run(nullptr, [&](Context&) { model_.release_encoders(); });
  std::sort(out.soft.begin(), out.soft.end(), [](const SoftSpan& a, const SoftSpan& b) { return a.first < b.first; });
  out.ids = std::move(ids);
  out.encode_seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return out;
}

}  // namespace g3n

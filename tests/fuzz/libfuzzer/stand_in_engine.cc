// An Engine for the server's fuzz targets, which are compiled without kernels and models: a token is a byte, and
// nothing is answered. The corpus test runs the same targets over the real one.
#include <algorithm>

#include "g3n/engine.h"
#include "tokenizer/chat_template.h"

namespace g3n {
namespace {

constexpr std::int32_t kFirstByte = 8;
const char* const kControls[kFirstByte] = {
    "<pad>", "<eos>", "<bos>", "<image_soft_token>", "<audio_soft_token>", "<start_of_turn>", "<end_of_turn>", "<unk>"};

std::vector<std::int32_t> tokens_of(std::string_view text) {
  std::vector<std::int32_t> ids;
  while (!text.empty()) {
    std::int32_t id = kFirstByte + static_cast<unsigned char>(text[0]);
    std::size_t size = 1;
    for (std::int32_t i = 0; i < kFirstByte; ++i)
      if (text.substr(0, std::string_view(kControls[i]).size()) == kControls[i])
        id = i, size = std::string_view(kControls[i]).size();
    ids.push_back(id);
    text.remove_prefix(size);
  }
  return ids;
}

}  // namespace

const char* finish_reason_name(FinishReason) { return "stop"; }

struct Ticket::State {};
void Ticket::cancel() const {}
void Ticket::pause() const {}
void Ticket::resume() const {}

struct Engine::Impl {
  ModelInfo info;
  Sampling sampling;
  std::vector<std::int32_t> stop_ids{1};
};

Engine::Engine(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Engine::~Engine() = default;

std::shared_ptr<Engine> Engine::open(const EngineOptions&) {
  auto impl = std::make_unique<Impl>();
  ModelInfo& info = impl->info;
  info.has_tokenizer = info.has_vision = info.has_audio = true;
  info.context = 4096;
  info.vocab_size = kFirstByte + 256;
  info.image_size = 768;
  info.tokens = {"<bos>", "<eos>", "<pad>", "<image_soft_token>", "<audio_soft_token>"};
  info.image_tokens = 256;
  info.clip_tokens = 188;
  info.least_clip_samples = 513;
  info.most_clip_samples = 480'000;
  return std::shared_ptr<Engine>(new Engine(std::move(impl)));
}

const ModelInfo& Engine::info() const { return impl_->info; }
const Sampling& Engine::default_sampling() const { return impl_->sampling; }
const std::vector<std::int32_t>& Engine::default_stop_ids() const { return impl_->stop_ids; }
Stats Engine::stats() const { return {}; }

std::vector<std::int32_t> Engine::encode(std::string_view text, ControlTokens) const { return tokens_of(text); }
std::string Engine::decode(const std::vector<std::int32_t>& ids, bool) const {
  std::string text;
  for (const std::int32_t id : ids) text += piece(id);
  return text;
}
std::int32_t Engine::pieces() const { return kFirstByte + 256; }
std::string Engine::piece(std::int32_t id) const {
  if (id < 0 || id >= kFirstByte + 256) throw Error(ErrorCode::kInvalidArgument, "no such id");
  return id < kFirstByte ? kControls[id] : std::string(1, static_cast<char>(id - kFirstByte));
}

std::string Engine::render(const ChatPrompt& prompt) const {
  return text_of(g3n::render(prompt.messages, prompt_end(prompt.add_generation_prompt && !prompt.continue_final_message,
                                                         prompt.continue_final_message)));
}

std::vector<std::int32_t> Engine::tokenize(const Prompt& prompt) const {
  if (const auto* chat = std::get_if<ChatPrompt>(&prompt)) return tokens_of(render(*chat));
  if (const auto* ids = std::get_if<IdsPrompt>(&prompt)) return ids->ids;
  const RawPrompt& raw = std::get<RawPrompt>(prompt);
  std::vector<std::int32_t> ids = tokens_of(raw.text);
  if (ids.empty() || ids[0] != 2) ids.insert(ids.begin(), 2);
  const auto soft = std::count_if(ids.begin(), ids.end(), [](std::int32_t id) { return id == 3 || id == 4; });
  if (static_cast<std::size_t>(soft) != raw.media.size())
    throw Error(ErrorCode::kInvalidArgument, "placeholders and media");
  return ids;
}

IdsPrompt Engine::as_ids(const ChatPrompt& prompt) const { return {tokenize(prompt), media_of(prompt.messages)}; }

Ticket Engine::submit(Request, std::shared_ptr<EventSink>) { throw Error(ErrorCode::kUnsupported, "no weights here"); }
Ticket Engine::submit(std::shared_ptr<const Prompt>, AnswerOptions, std::shared_ptr<EventSink>) {
  throw Error(ErrorCode::kUnsupported, "no weights here");
}

std::vector<MediaPart> media_of(const std::vector<Message>& messages) {
  std::vector<MediaPart> media;
  for (const Message& message : messages)
    for (const Part& part : message.parts) {
      if (const auto* image = std::get_if<ImagePart>(&part)) media.emplace_back(*image);
      if (const auto* audio = std::get_if<AudioPart>(&part)) media.emplace_back(*audio);
    }
  return media;
}

}  // namespace g3n

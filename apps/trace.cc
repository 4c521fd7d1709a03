// g3n trace: the model on exactly these ids, every intermediate value to a file. For whoever compares two engines.
#include <algorithm>
#include <charconv>
#include <functional>

#include "commands.h"
#include "console.h"
#include "core/split.h"
#include "files.h"
#include "g3n/diagnostics.h"
#include "g3n/error.h"
#include "load_engine.h"
#include "prompt_input.h"

namespace g3n::cli {
namespace {

constexpr const char* kBetweenWords = " \t\r\n";

// The words of a piece; an empty one where it has none, since something is missing there.
std::vector<std::string> words_of(const std::string& piece) {
  std::vector<std::string> words;
  for (size_t begin = piece.find_first_not_of(kBetweenWords); begin != std::string::npos;) {
    const size_t end = std::min(piece.find_first_of(kBetweenWords, begin), piece.size());
    words.push_back(piece.substr(begin, end - begin));
    begin = piece.find_first_not_of(kBetweenWords, end);
  }
  if (words.empty()) words.emplace_back();
  return words;
}

// Throws T, made of what was expected and found, and where.
template <typename T>
std::vector<std::int32_t> parse_ids(const std::vector<std::string>& words,
                                    const std::function<T(const std::string&)>& error) {
  if (words.size() == 1 && words[0].empty()) throw error("expected token ids, found none");
  std::vector<std::int32_t> ids;
  for (const std::string& word : words) {
    std::int32_t id = 0;
    const auto [end, problem] = std::from_chars(word.data(), word.data() + word.size(), id);
    if (problem != std::errc{} || end != word.data() + word.size() || id < 0)
      throw error("expected a token id, found '" + word + "' in place " + std::to_string(ids.size()));
    ids.push_back(id);
  }
  return ids;
}

// --ids has commas between them; a file white space or commas.
std::vector<std::int32_t> given_ids(const Options& o) {
  std::vector<std::string> words;
  for (const std::string& piece : split(o.ids ? *o.ids : read_file(*o.ids_file), ',')) {
    const std::vector<std::string> in_piece = words_of(piece);
    if (o.ids && in_piece.size() > 1)
      words.push_back(piece);
    else
      words.insert(words.end(), in_piece.begin(), in_piece.end());
  }
  if (o.ids) return parse_ids<UsageError>(words, [](const std::string& what) { return UsageError("--ids: " + what); });
  return parse_ids<Error>(
      words, [&o](const std::string& what) { return Error(ErrorCode::kBadFile, *o.ids_file + ": " + what); });
}

// --prompt: what run would feed.
Prompt prompt_of(const Options& o) {
  if (!o.trace_prompt) return IdsPrompt{given_ids(o), read_media_parts(o.media)};
  ChatPrompt chat;
  chat.messages.push_back({"user", turn_parts(o.media, *o.trace_prompt)});
  return chat;
}

}  // namespace

int trace(const Options& options) {
  TraceOptions asked;
  asked.taps = options.taps;
  asked.steps = options.steps;
  asked.cut = options.cut;
  const bool has_prompt = options.trace_prompt || options.ids || options.ids_file;
  const Prompt prompt = has_prompt ? prompt_of(options) : Prompt{};
  const std::vector<MediaPart> media = has_prompt ? std::vector<MediaPart>{} : read_media_parts(options.media);
  const std::shared_ptr<Engine> engine = open_engine(options);

  InterruptScope scope(InterruptMode::kCancelThenExit);
  asked.cancelled = scope.flag();
  const TraceReport report =
      has_prompt ? write_trace(*engine, prompt, options.out, asked) : write_trace(*engine, media, options.out, asked);
  for (const std::string& glob : report.unmatched_globs) warn("--taps: no tap matches '" + glob + "'");
  return kExitDone;
}

}  // namespace g3n::cli

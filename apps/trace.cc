// g3n trace: the model on exactly these ids, every intermediate value to a file. For whoever compares two engines.
#include <algorithm>
#include <charconv>
#include <functional>

#include "commands.h"
#include "console.h"
#include "files.h"
#include "g3n/diagnostics.h"
#include "g3n/error.h"
#include "load_engine.h"
#include "prompt_input.h"

namespace g3n::cli {
namespace {

// Ids separated by commas or white space. Throws T with what was found.
template <typename T>
std::vector<std::int32_t> parse_ids(const std::string& text, const std::function<T(const std::string&)>& error) {
  constexpr const char* kSeparators = ", \t\r\n";
  std::vector<std::int32_t> ids;
  for (size_t begin = text.find_first_not_of(kSeparators); begin != std::string::npos;
       begin = text.find_first_not_of(kSeparators, begin)) {
    const size_t end = std::min(text.find_first_of(kSeparators, begin), text.size());
    std::int32_t id = 0;
    const auto [stop, problem] = std::from_chars(text.data() + begin, text.data() + end, id);
    if (problem != std::errc{} || stop != text.data() + end || id < 0)
      throw error("expected a token id, found '" + text.substr(begin, end - begin) + "' in place " +
                  std::to_string(ids.size()));
    ids.push_back(id);
    begin = end;
  }
  if (ids.empty()) throw error("expected token ids, found none");
  return ids;
}

std::vector<std::int32_t> given_ids(const Options& o) {
  if (o.ids) return parse_ids<UsageError>(*o.ids, [](const std::string& what) { return UsageError("--ids: " + what); });
  return parse_ids<Error>(read_file(*o.ids_file), [&o](const std::string& what) {
    return Error(ErrorCode::kBadFile, *o.ids_file + ": " + what);
  });
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

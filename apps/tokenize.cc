// g3n tokenize: the ids of a text, or of the prompt that run would feed.
#include "commands.h"
#include "console.h"
#include "json_text.h"
#include "load_engine.h"
#include "prompt_input.h"

namespace g3n::cli {

int tokenize(const Options& options) {
  const bool is_prompt = options.raw || options.chat_template || options.messages;
  const std::string text = options.messages ? "" : tokenize_text(options);
  const Prompt prompt = is_prompt ? make_prompt(options, text) : Prompt{};
  Options tokens_only = options;
  tokens_only.engine.load_weights = false;
  const std::shared_ptr<Engine> engine = open_engine(tokens_only);
  const std::vector<std::int32_t> ids = is_prompt ? engine->tokenize(prompt) : engine->encode(text);

  std::string line;
  if (options.json) {
    std::vector<std::string> pieces;
    for (const std::int32_t id : ids) pieces.push_back(engine->piece(id));
    line = tokens_json(ids, pieces);
  } else {
    for (const std::int32_t id : ids) (line.empty() ? line : line += ' ') += std::to_string(id);
  }
  write_stdout(line + "\n");
  return kExitDone;
}

}  // namespace g3n::cli

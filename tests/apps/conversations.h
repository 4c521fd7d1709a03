// tests/golden/data/demo/conversations.json: what transformers is asked and answers; and reading JSON that g3n writes.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace g3n::testing {

struct Conversation {
  std::string name;
  std::string messages;                     // JSON, as a --messages file has it
  std::vector<std::string> images, audios;  // paths, in order
  std::vector<std::int64_t> ids, greedy_ids;
  std::string text;
  // When it is one user turn of images, audio, text in this order, perhaps behind a system text, as flags of run can
  // say it.
  bool fits_flags = false;
  std::string system, prompt;
};

const std::vector<Conversation>& conversations();
const Conversation& conversation(const std::string& name);

// Members of a JSON object; throw when it is none or has none of that name.
std::string json_text(const std::string& json, const std::string& key);
double json_number(const std::string& json, const std::string& key);  // key may be a path: "timings/load_seconds"
std::vector<std::int64_t> json_integers(const std::string& json, const std::string& key);
std::vector<std::string> json_texts(const std::string& json, const std::string& key);
std::vector<std::string> json_keys(const std::string& json);
// "user: text" and the like, one per message of a list.
std::vector<std::string> message_lines(const std::string& json);

}  // namespace g3n::testing

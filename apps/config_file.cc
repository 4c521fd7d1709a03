#include "config_file.h"

#include <algorithm>
#include <fstream>
#include <sstream>

#include "core/printable.h"
#include "g3n/error.h"
#include "json/tree.h"
#include "json/writer.h"
#include "options.h"

namespace g3n::cli {
namespace {

std::string text_of_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  if (!in) throw UsageError("--config: " + path + " cannot be read");
  return text.str();
}

JsonNode parse(const std::string& path) {
  try {
    return parse_json_tree(text_of_file(path), path, {.duplicates = JsonDuplicates::kRefused});
  } catch (const Error& error) {
    throw UsageError(std::string("--config: ") + error.what());
  }
}

std::string value_of(const JsonNode& value, const std::string& where) {
  if (value.text()) return *value.text();
  if (std::holds_alternative<std::int64_t>(value.value) || std::holds_alternative<double>(value.value))
    return to_json(value);
  throw UsageError(where + ": expected a string, a number, true, false, or a list of them");
}

void append(std::vector<std::string>& arguments, const std::string& flag, const JsonNode& value,
            const std::string& where) {
  if (const bool* is_on = value.boolean()) {
    if (*is_on) arguments.push_back(flag);
  } else if (value.list()) {
    for (const JsonNode& entry : *value.list()) append(arguments, flag, entry, where);
  } else if (value.object()) {
    for (const auto& [name, entry] : *value.object()) {
      arguments.push_back(flag);
      arguments.push_back(name + "=" + value_of(entry, where));
    }
  } else {
    arguments.push_back(flag);
    arguments.push_back(value_of(value, where));
  }
}

}  // namespace

std::vector<std::string> with_config_file(std::vector<std::string> arguments,
                                          const std::function<bool(const std::string&)>& is_flag) {
  std::string path;
  for (std::size_t i = 1; i < arguments.size(); ++i) {
    if (arguments[i].starts_with("--config=")) path = arguments[i].substr(9);
    if (arguments[i] == "--config" && i + 1 < arguments.size()) path = arguments[i + 1];
  }
  if (path.empty()) return arguments;
  const JsonNode config = parse(path);
  if (!config.object()) throw UsageError("--config: " + path + ": expected a JSON object");
  std::vector<std::string> more;
  for (const auto& [name, value] : *config.object()) {
    const std::string flag = "--" + name, where = "--config: " + path + ": " + printable_start(name, 60);
    if (name == "config" || name == "help" || !is_flag(name)) throw UsageError(where + " is no option of g3n serve");
    const bool is_given = std::any_of(arguments.begin() + 1, arguments.end(), [&](const std::string& argument) {
      return argument == flag || argument.starts_with(flag + "=") || (name == "model" && argument.starts_with("-m"));
    });
    if (!is_given) append(more, flag, value, where);
  }
  arguments.insert(arguments.begin() + 1, more.begin(), more.end());
  return arguments;
}

}  // namespace g3n::cli

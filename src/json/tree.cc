#include "json/tree.h"

#include <limits>
#include <unordered_map>

#include "core/printable.h"

namespace g3n {
namespace {

constexpr std::string_view kNonFinite[] = {"NaN", "-Infinity", "Infinity"};

// Python's words, which the parser does not take, made into texts of the same length: "N", "-Infini", ... . Offsets
// stay, and the byte that was under a closing quote tells such a text from those of the file (TreeEvents::on_text).
std::string with_words_as_texts(std::string_view text) {
  std::string out(text);
  bool inside_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    if (inside_string && text[i] == '\\') {
      ++i;
    } else if (text[i] == '"') {
      inside_string = !inside_string;
    } else if (!inside_string) {
      for (const std::string_view word : kNonFinite)
        if (text.substr(i, word.size()) == word) {
          out.replace(i, word.size(), '"' + std::string(word.substr(0, word.size() - 2)) + '"');
          i += word.size() - 1;
          break;
        }
    }
  }
  return out;
}

// Builds the tree, innermost open container last.
class TreeEvents : public JsonEvents {
 public:
  TreeEvents(std::string_view text, const std::string& where, const JsonRules& rules)
      : text_(text), where_(where), rules_(rules) {}

  JsonNode root;

  void on_null() override { place({nullptr}); }
  void on_boolean(bool value) override { place({value}); }
  void on_integer(int64_t value) override { place({value}); }
  void on_number(double value) override { place({value}); }
  void on_text(std::string& value) override {
    if (text_[byte() - 1] == '"') return place({std::move(value)});
    const double infinity = std::numeric_limits<double>::infinity();
    place({value[0] == 'N' ? std::numeric_limits<double>::quiet_NaN() : value[0] == 'I' ? infinity : -infinity});
  }
  void on_object_begin() override { open_.push_back({.node = {JsonObject{}}}); }
  void on_list_begin() override { open_.push_back({.node = {JsonList{}}}); }
  void on_key(std::string& key) override {
    Open& open = open_.back();
    JsonObject& object = std::get<JsonObject>(open.node.value);
    const auto [found, is_new] = open.places.emplace(key, object.size());
    if (!is_new && rules_.duplicates == JsonDuplicates::kRefused)
      throw JsonError(where_, byte(), "the key \"" + printable_start(key) + "\" appears twice");
    open.place = found->second;
    if (is_new) object.push_back({std::move(key), JsonNode{}});
  }
  void on_object_end() override { close(); }
  void on_list_end() override { close(); }

 private:
  struct Open {
    JsonNode node;
    std::unordered_map<std::string, size_t> places{};  // of an object's keys
    size_t place = 0;                                  // of the key whose value comes next
  };
  void close() {
    JsonNode node = std::move(open_.back().node);
    open_.pop_back();
    place(std::move(node));
  }
  void place(JsonNode node) {
    if (++values_ > rules_.max_values)
      throw JsonError(where_, byte(), "more than " + std::to_string(rules_.max_values) + " values");
    if (open_.empty()) {
      root = std::move(node);
    } else if (auto* list = std::get_if<JsonList>(&open_.back().node.value)) {
      list->push_back(std::move(node));
    } else {
      std::get<JsonObject>(open_.back().node.value)[open_.back().place].value = std::move(node);
    }
  }

  std::string_view text_;  // as it was given
  const std::string& where_;
  const JsonRules& rules_;
  std::vector<Open> open_;
  int64_t values_ = 0;
};

}  // namespace

const JsonNode* JsonNode::find(std::string_view key) const {
  if (const JsonObject* members = object())
    for (const auto& [name, node] : *members)
      if (name == key) return &node;
  return nullptr;
}

JsonNode parse_json_tree(std::string_view text, const std::string& where, const JsonRules& rules) {
  TreeEvents events(text, where, rules);
  const bool has_words =
      rules.non_finite == JsonNonFinite::kPython &&
      (text.find("NaN") != std::string_view::npos || text.find("Infinity") != std::string_view::npos);
  if (has_words)
    parse_json(with_words_as_texts(text), where, events, rules.max_depth);
  else
    parse_json(text, where, events, rules.max_depth);
  return std::move(events.root);
}

}  // namespace g3n

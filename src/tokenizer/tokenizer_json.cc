// The events of a JSON text, sorted by the two outer keys of tokenizer.json.
#include "tokenizer/tokenizer_json.h"

#include <algorithm>
#include <limits>

#include "g3n/error.h"
#include "json/events.h"
#include "json/tree.h"
#include "tokenizer/piece_table.h"
#include "core/utf8.h"

namespace g3n {
namespace {

[[noreturn]] void bad(const std::string& file, const std::string& what) {
  throw Error(ErrorCode::kBadFile, file + ": " + what);
}
[[noreturn]] void unsupported(const std::string& file, const std::string& what) {
  throw Error(ErrorCode::kUnsupported, file + ": " + what);
}

// Fills the fields below. Depth 1 is inside the outer object: its keys are `section_`; the keys of depth 2 are `key_`,
// deeper ones `inner_key_`.
class Reader : public JsonEvents {
 public:
  Reader(std::string file, bool added_tokens_only) : file_(std::move(file)), added_tokens_only_(added_tokens_only) {}

  std::vector<Piece> pieces;        // by id, from model.vocab
  std::vector<std::string> merges;  // model.merges, both sides joined
  std::vector<AddedToken> added;
  std::string model_type, normalizer, pre_tokenizer;  // the latter two: "key=value;" of every string inside
  bool has_byte_fallback = false, is_complete = false;

  void on_null() override {}
  void on_boolean(bool value) override {
    if (section_ == "model" && depth_ == 2 && key_ == "byte_fallback") has_byte_fallback = value;
    if (in_added_token() && inner_key_ == "special") added.back().is_special = value;
  }
  void on_integer(std::int64_t value) override {
    const bool is_id = in_added_token() && inner_key_ == "id";
    if (value < 0 && (is_id || in_vocab())) bad(file_, "'" + inner_key_ + "' has a negative id");
    if (in_vocab()) {
      add_piece(value);
    } else if (is_id) {
      added.back().id =
          static_cast<std::int32_t>(std::min<std::int64_t>(value, std::numeric_limits<std::int32_t>::max()));
    }
  }
  void on_number(double) override {
    if (in_vocab()) bad(file_, "'" + inner_key_ + "' has an id that is not a whole number");
  }
  void on_text(std::string& value) override {
    if (in_merges()) {
      add_merge(value);
    } else if (in_added_token()) {
      if (inner_key_ == "content") added.back().text = value;
    } else if (section_ == "model") {
      if (depth_ == 2 && key_ == "type") model_type = value;
    } else if (section_ == "normalizer") {
      normalizer += (depth_ == 2 ? key_ : inner_key_) + "=" + value + ";";
    } else if (section_ == "pre_tokenizer") {
      pre_tokenizer += (depth_ == 2 ? key_ : inner_key_) + "=" + value + ";";
    }
  }
  void on_object_begin() override {
    ++depth_;
    if (section_ == "added_tokens" && depth_ == 3) added.push_back({-1, "", false});
  }
  void on_object_end() override { --depth_; }
  void on_list_begin() override {
    if (depth_ == 0) bad(file_, "expected a JSON object, found an array");
    ++depth_;
  }
  void on_list_end() override {
    if (in_merges() && depth_ == 4) end_pair();
    --depth_;
    if (depth_ == 1 && section_ == "added_tokens") is_complete = true;
  }
  void on_key(std::string& key) override {
    (depth_ == 1 ? section_ : depth_ == 2 ? key_ : inner_key_) = key;  // copied: all three keep their memory
  }
  bool wants_more() const override { return !(is_complete && added_tokens_only_); }

 private:
  bool in_vocab() const { return depth_ == 3 && section_ == "model" && key_ == "vocab"; }
  bool in_merges() const { return depth_ >= 3 && section_ == "model" && key_ == "merges"; }
  bool in_added_token() const { return depth_ == 3 && section_ == "added_tokens"; }

  void add_piece(std::int64_t number) {
    const std::size_t id = static_cast<std::size_t>(number);
    if (number >= kMaxPieces)
      bad(file_,
          "'" + inner_key_ + "': expected an id below " + std::to_string(kMaxPieces) + ", found " + std::to_string(id));
    if (inner_key_.empty()) bad(file_, "piece " + std::to_string(id) + " has no text");
    if (pieces.size() <= id) pieces.resize(id + 1);
    if (!pieces[id].text.empty())
      bad(file_, "'" + pieces[id].text + "' and '" + inner_key_ + "' have the same id " + std::to_string(id));
    pieces[id].text = inner_key_;
  }

  // Either "left right" or ["left", "right"].
  void add_merge(const std::string& value) {
    if (depth_ == 4) {
      if (pair_size_++ == 0) merges.emplace_back();
      merges.back() += value;
      return;
    }
    const std::size_t space = value.find(' ');
    if (space == std::string::npos) bad(file_, "merge '" + value + "': expected two pieces with a space between");
    merges.push_back(value.substr(0, space) + value.substr(space + 1));
  }
  void end_pair() {
    if (pair_size_ != 2) bad(file_, "a merge of " + std::to_string(pair_size_) + " pieces, expected 2");
    pair_size_ = 0;
  }

  std::string file_;
  bool added_tokens_only_;
  int depth_ = 0, pair_size_ = 0;
  std::string section_, key_, inner_key_;
};

bool is_one_character(const std::string& text) { return utf8_step(text).size == text.size(); }

// The score of a piece is the place of its first merge, counted down. What no merge makes stays an atom.
void score_pieces(std::vector<Piece>& pieces, const std::vector<std::string>& merges, const std::string& file) {
  PieceTable table(pieces);
  for (std::size_t id = 0; id < pieces.size(); ++id) {
    Piece& piece = pieces[id];
    if (piece.text.empty()) continue;
    if (table.find(piece.text) >= 0) bad(file, "'" + piece.text + "' stands twice in the vocabulary");
    table.insert(static_cast<std::int32_t>(id));
    piece.type = byte_of_piece(piece.text) >= 0 ? PieceType::kByte
                 : is_one_character(piece.text) ? PieceType::kNormal
                                                : PieceType::kAtom;
    piece.score = -static_cast<float>(merges.size());
  }
  for (std::size_t rank = 0; rank < merges.size(); ++rank) {
    const std::int32_t id = table.find(merges[rank]);
    if (id < 0)
      bad(file, "merge " + std::to_string(rank) + " makes '" + merges[rank] + "', which is not in the vocabulary");
    Piece& piece = pieces[id];
    if (piece.type == PieceType::kByte || is_one_character(piece.text))
      bad(file, "merge " + std::to_string(rank) + " makes '" + piece.text + "'");
    if (piece.type == PieceType::kNormal) continue;
    piece.type = PieceType::kNormal;
    piece.score = -static_cast<float>(rank);
  }
}

// Bpe merges whenever the concatenation is a piece; that equals the merges only if they are all the cuts of the pieces,
// as in Gemma's files.
void expect_all_cuts(const std::vector<Piece>& pieces, std::size_t merges, const std::string& file) {
  PieceTable table(pieces);
  for (std::size_t id = 0; id < pieces.size(); ++id)
    if (pieces[id].type == PieceType::kNormal) table.insert(static_cast<std::int32_t>(id));
  std::size_t cuts = 0;
  for (const Piece& piece : pieces) {
    if (piece.type != PieceType::kNormal) continue;
    const std::string_view text = piece.text;
    for (std::size_t at = 1; at < text.size(); ++at) {
      const bool is_boundary = (static_cast<unsigned char>(text[at]) & 0xC0) != 0x80;
      if (is_boundary && table.find(text.substr(0, at)) >= 0 && table.find(text.substr(at)) >= 0) ++cuts;
    }
  }
  if (cuts != merges)
    unsupported(file, "expected a merge for each of the " + std::to_string(cuts) +
                          " ways to cut a piece in two, as in Gemma's files, found " + std::to_string(merges));
}

void check_kind(const Reader& reader, const std::string& file) {
  if (reader.model_type != "BPE") unsupported(file, "expected model.type BPE, found '" + reader.model_type + "'");
  if (!reader.has_byte_fallback) unsupported(file, "expected model.byte_fallback true");
  const std::string found = reader.normalizer;
  if (found.find("type=Replace;") == std::string::npos || found.find("Prepend") != std::string::npos ||
      found.find("String= ;") == std::string::npos ||
      found.find("content=" + std::string(kSpaceMark) + ";") == std::string::npos)
    unsupported(file,
                "expected a normalizer that replaces spaces by U+2581 and does nothing else, found '" + found + "'");
  if (!reader.pre_tokenizer.empty() && reader.pre_tokenizer.find("type=Split;String= ;") == std::string::npos)
    unsupported(file, "expected no pre_tokenizer or a split at spaces, found '" + reader.pre_tokenizer + "'");
}

void read_events(std::string_view bytes, const std::string& file, Reader& reader) try {
  parse_json(bytes, file, reader);
} catch (const JsonError& error) {
  bad(file, "not JSON: at byte " + std::to_string(error.byte()) + ": " + error.reason());
}

void check_added(const std::vector<AddedToken>& added, const std::string& file) {
  for (const AddedToken& token : added)
    if (token.id < 0 || token.text.empty())
      bad(file,
          "an added token without id or content: id " + std::to_string(token.id) + ", content '" + token.text + "'");
}

// "<bos>" or {"content": "<bos>", ...}
std::optional<std::string> token_text(const JsonNode& value) {
  const JsonNode* content = value.object() ? value.find("content") : &value;
  if (content && content->text()) return *content->text();
  return std::nullopt;
}

void read_names(const JsonNode& object, std::map<std::string, std::string>& names) {
  for (const auto& [key, value] : *object.object())
    if (key.size() > 6 && key.ends_with("_token"))
      if (const auto text = token_text(value)) names[key] = *text;
}

}  // namespace

Vocabulary read_tokenizer_json(std::string_view bytes, const std::string& file) {
  Reader reader(file, /*added_tokens_only=*/false);
  read_events(bytes, file, reader);
  check_kind(reader, file);
  if (reader.pieces.empty()) bad(file, "model.vocab is missing or empty");
  check_added(reader.added, file);
  score_pieces(reader.pieces, reader.merges, file);
  expect_all_cuts(reader.pieces, reader.merges.size(), file);
  Vocabulary vocabulary{file, std::move(reader.pieces), {}, {}};
  add_tokens(vocabulary, std::move(reader.added));
  return vocabulary;
}

std::vector<AddedToken> read_added_tokens(std::string_view bytes, const std::string& file) {
  Reader reader(file, /*added_tokens_only=*/true);
  read_events(bytes, file, reader);
  if (!reader.is_complete) bad(file, "added_tokens is missing");
  check_added(reader.added, file);
  return std::move(reader.added);
}

TokenizerConfig read_tokenizer_config(std::string_view bytes, const std::string& file) try {
  const JsonNode json = parse_json_tree(bytes, file);
  if (!json.object()) bad(file, "expected a JSON object");
  TokenizerConfig config;
  if (const JsonNode* extra = json.find("extra_special_tokens"); extra && extra->object())
    read_names(*extra, config.names);
  read_names(json, config.names);
  if (const JsonNode* chat_template = json.find("chat_template"); chat_template && chat_template->text())
    config.chat_template = *chat_template->text();
  const JsonNode* decoder = json.find("added_tokens_decoder");
  if (!decoder) return config;
  if (!decoder->object()) bad(file, "added_tokens_decoder: expected an object");
  for (const auto& [key, value] : *decoder->object()) {
    const auto text = token_text(value);
    const bool is_number = !key.empty() && key.size() < 8 && key.find_first_not_of("0123456789") == std::string::npos;
    const JsonNode* special = value.find("special");
    if (!text || text->empty() || !is_number || (special && !special->boolean()))
      bad(file, "added_tokens_decoder: '" + key + "': expected an id and an object with content");
    config.added.push_back({std::stoi(key), *text, special && *special->boolean()});
  }
  return config;
} catch (const JsonError& error) {
  bad(file, "expected the JSON of a tokenizer_config: " + error.reason());
}

}  // namespace g3n

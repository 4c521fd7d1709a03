// The events of nlohmann's SAX parser, sorted by the two outer keys of tokenizer.json. The one unit of this room that
// includes json.hpp.
#include "tokenizer/tokenizer_json.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "g3n/error.h"
#include "tokenizer/piece_table.h"
#include "core/utf8.h"

namespace g3n {
namespace {

using Json = nlohmann::json;

[[noreturn]] void bad(const std::string& file, const std::string& what) {
  throw Error(ErrorCode::kBadFile, file + ": " + what);
}
[[noreturn]] void unsupported(const std::string& file, const std::string& what) {
  throw Error(ErrorCode::kUnsupported, file + ": " + what);
}

// Fills the fields below. Depth 1 is inside the outer object: its keys are `section_`; the keys of depth 2 are `key_`,
// deeper ones `inner_key_`.
class Reader : public nlohmann::json_sax<Json> {
 public:
  Reader(std::string file, bool added_tokens_only) : file_(std::move(file)), added_tokens_only_(added_tokens_only) {}

  std::vector<Piece> pieces;        // by id, from model.vocab
  std::vector<std::string> merges;  // model.merges, both sides joined
  std::vector<AddedToken> added;
  std::string model_type, normalizer, pre_tokenizer;  // the latter two: "key=value;" of every string inside
  bool has_byte_fallback = false, is_complete = false;

  bool null() override { return true; }
  bool boolean(bool value) override {
    if (section_ == "model" && depth_ == 2 && key_ == "byte_fallback") has_byte_fallback = value;
    if (in_added_token() && inner_key_ == "special") added.back().is_special = value;
    return true;
  }
  bool number_integer(number_integer_t) override {
    if (in_vocab() || (in_added_token() && inner_key_ == "id")) bad(file_, "'" + inner_key_ + "' has a negative id");
    return true;
  }
  bool number_unsigned(number_unsigned_t value) override {
    if (in_vocab()) {
      add_piece(value);
    } else if (in_added_token() && inner_key_ == "id") {
      added.back().id = static_cast<std::int32_t>(std::min<number_unsigned_t>(value, kMaxPieces));
    }
    return true;
  }
  bool number_float(number_float_t, const string_t&) override {
    if (in_vocab()) bad(file_, "'" + inner_key_ + "' has an id that is not a whole number");
    return true;
  }
  bool string(string_t& value) override {
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
    return true;
  }
  bool binary(binary_t&) override { return true; }
  bool start_object(std::size_t) override {
    ++depth_;
    if (section_ == "added_tokens" && depth_ == 3) added.push_back({-1, "", false});
    return true;
  }
  bool end_object() override {
    --depth_;
    return true;
  }
  bool start_array(std::size_t) override {
    if (depth_ == 0) bad(file_, "expected a JSON object, found an array");
    ++depth_;
    return true;
  }
  bool end_array() override {
    if (in_merges() && depth_ == 4) end_pair();
    --depth_;
    if (depth_ == 1 && section_ == "added_tokens") {
      is_complete = true;
      if (added_tokens_only_) return false;
    }
    return true;
  }
  bool key(string_t& value) override {
    (depth_ == 1 ? section_ : depth_ == 2 ? key_ : inner_key_) = value;
    return true;
  }
  bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception& error) override {
    bad(file_, "not JSON: at byte " + std::to_string(position) + ": " + error.what());
  }

 private:
  bool in_vocab() const { return depth_ == 3 && section_ == "model" && key_ == "vocab"; }
  bool in_merges() const { return depth_ >= 3 && section_ == "model" && key_ == "merges"; }
  bool in_added_token() const { return depth_ == 3 && section_ == "added_tokens"; }

  void add_piece(std::uint64_t id) {
    if (id >= static_cast<std::uint64_t>(kMaxPieces))
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

std::string_view without_bom(std::string_view bytes) {
  return bytes.substr(0, 3) == "\xEF\xBB\xBF" ? bytes.substr(3) : bytes;
}

void check_added(const std::vector<AddedToken>& added, const std::string& file) {
  for (const AddedToken& token : added)
    if (token.id < 0 || token.text.empty())
      bad(file,
          "an added token without id or content: id " + std::to_string(token.id) + ", content '" + token.text + "'");
}

// "<bos>" or {"content": "<bos>", ...}
std::optional<std::string> token_text(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_object() && value.contains("content") && value["content"].is_string())
    return value["content"].get<std::string>();
  return std::nullopt;
}

void read_names(const Json& object, std::map<std::string, std::string>& names) {
  for (const auto& [key, value] : object.items())
    if (key.size() > 6 && key.ends_with("_token"))
      if (const auto text = token_text(value)) names[key] = *text;
}

}  // namespace

Vocabulary read_tokenizer_json(std::string_view bytes, const std::string& file) {
  Reader reader(file, /*added_tokens_only=*/false);
  Json::sax_parse(without_bom(bytes), &reader);
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
  Json::sax_parse(without_bom(bytes), &reader);
  if (!reader.is_complete) bad(file, "added_tokens is missing");
  check_added(reader.added, file);
  return std::move(reader.added);
}

TokenizerConfig read_tokenizer_config(std::string_view bytes, const std::string& file) try {
  const Json json = Json::parse(without_bom(bytes));
  if (!json.is_object()) bad(file, "expected a JSON object");
  TokenizerConfig config;
  if (json.contains("extra_special_tokens") && json["extra_special_tokens"].is_object())
    read_names(json["extra_special_tokens"], config.names);
  read_names(json, config.names);
  if (json.contains("chat_template") && json["chat_template"].is_string())
    config.chat_template = json["chat_template"].get<std::string>();
  if (!json.contains("added_tokens_decoder")) return config;
  const Json& decoder = json["added_tokens_decoder"];
  if (!decoder.is_object()) bad(file, "added_tokens_decoder: expected an object");
  for (const auto& [key, value] : decoder.items()) {
    const auto text = token_text(value);
    const bool is_number = !key.empty() && key.size() < 8 && key.find_first_not_of("0123456789") == std::string::npos;
    if (!text || text->empty() || !is_number)
      bad(file, "added_tokens_decoder: '" + key + "': expected an id and an object with content");
    config.added.push_back({std::stoi(key), *text, value.is_object() && value.value("special", false)});
  }
  return config;
} catch (const Json::exception& error) {
  bad(file, std::string("expected the JSON of a tokenizer_config: ") + error.what());
}

}  // namespace g3n

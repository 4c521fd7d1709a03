#include "checkpoint/gguf_vocabulary.h"

#include <algorithm>
#include <string>

#include "core/printable.h"
#include "g3n/error.h"

namespace g3n {
namespace {

// SentencePiece's numbers.
enum TokenType : int64_t {
  kNormalToken = 1,
  kUnknownToken,
  kControlToken,
  kUserDefinedToken,
  kUnusedToken,
  kByteToken
};
constexpr int64_t kMaxTokens = 1 << 20;
const std::string kKey = "tokenizer.ggml.";

// User-defined tokens have their U+2581 written as spaces.
std::string with_space_marks(std::string_view token) {
  std::string out;
  for (const char c : token)
    if (c == ' ')
      out += kSpaceMark;
    else
      out += c;
  return out;
}

// "[PAD123]" fills the list up to the rows of the table.
bool is_padding(std::string_view token) {
  if (!token.starts_with("[PAD") || !token.ends_with("]") || token.size() < 6) return false;
  const std::string_view digits = token.substr(4, token.size() - 5);
  return std::all_of(digits.begin(), digits.end(), [](char c) { return c >= '0' && c <= '9'; });
}

// Some writers give ids for scores, which would merge the rarest first; the order of ids says the same as the scores of
// the others.
bool rises_with_id(const std::vector<double>& scores, const std::vector<Piece>& pieces) {
  double last = 0;
  int seen = 0;
  for (size_t id = 0; id < pieces.size(); ++id) {
    if (pieces[id].type != PieceType::kNormal) continue;
    if (seen++ > 0 && scores[id] <= last) return false;
    last = scores[id];
  }
  return seen > 1;
}

}  // namespace

Vocabulary read_gguf_vocabulary(const GgufMetadata& keys) {
  const std::string model = keys.text(kKey + "model");
  if (model != "llama" && model != "gpt2")
    throw Error(ErrorCode::kUnsupported, keys.where() + ": " + kKey +
                                             "model: expected \"llama\" or \"gpt2\", found \"" +
                                             printable_start(model, 60) + "\"");
  const int64_t count = keys.count(kKey + "tokens");
  if (count < 1 || count > kMaxTokens) keys.fail(kKey + "tokens", "1 to " + std::to_string(kMaxTokens) + " tokens");
  for (const char* list : {"scores", "token_type"})
    if (keys.has(kKey + list) && keys.count(kKey + list) != count)
      keys.fail(kKey + list, "a list of " + std::to_string(count) + ", one for each token");
  const std::vector<std::string_view> tokens = keys.texts(kKey + "tokens");
  const std::vector<double> scores = keys.numbers(kKey + "scores");
  const std::vector<int64_t> types = keys.integers(kKey + "token_type");

  Vocabulary vocabulary;
  vocabulary.file = keys.where();
  vocabulary.pieces.resize(tokens.size());
  std::vector<AddedToken> added;
  for (size_t id = 0; id < tokens.size(); ++id) {
    Piece& piece = vocabulary.pieces[id];
    const int64_t type = types.empty() ? kNormalToken : types[id];
    if (type < kNormalToken || type > kByteToken)
      keys.fail(kKey + "token_type",
                "types from 1 to 6, not " + std::to_string(type) + " for token " + std::to_string(id));
    if (is_padding(tokens[id])) continue;  // a hole
    piece.text = with_space_marks(tokens[id]);
    if (type == kByteToken || byte_of_piece(piece.text) >= 0) {
      piece.type = PieceType::kByte;
    } else if (type == kNormalToken) {
      piece.type = PieceType::kNormal;
    } else if (type != kUnusedToken) {
      added.push_back({.id = static_cast<int32_t>(id), .text = piece.text});
    }
  }
  const bool use_ids = scores.empty() || rises_with_id(scores, vocabulary.pieces);
  for (size_t id = 0; id < tokens.size(); ++id)
    if (Piece& piece = vocabulary.pieces[id]; piece.type == PieceType::kNormal)
      piece.score = use_ids ? -static_cast<float>(id) : static_cast<float>(scores[id]);
  // Runs of spaces are also made by merging, before all others.
  for (const AddedToken& token : added)
    if (is_space_run(token.text)) vocabulary.pieces[static_cast<size_t>(token.id)].type = PieceType::kNormal;
  add_tokens(vocabulary, std::move(added));
  mark_special(vocabulary);
  return vocabulary;
}

}  // namespace g3n

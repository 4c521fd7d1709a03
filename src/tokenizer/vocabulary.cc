// What the two tokenizer files have in common: how pieces look, and which vocabularies are sound.
#include "tokenizer/vocabulary.h"

#include <cmath>

#include "g3n/error.h"
#include "tokenizer/piece_table.h"
#include "core/utf8.h"

namespace g3n {
namespace {

int hex_digit(char c) { return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1; }

[[noreturn]] void bad(const Vocabulary& vocabulary, const std::string& what) {
  throw Error(ErrorCode::kBadFile, vocabulary.file + ": " + what);
}

}  // namespace

int byte_of_piece(std::string_view text) {
  if (text.size() != 6 || text.substr(0, 3) != "<0x" || text[5] != '>') return -1;
  const int high = hex_digit(text[3]), low = hex_digit(text[4]);
  return high < 0 || low < 0 ? -1 : high * 16 + low;
}

bool is_space_run(std::string_view text) {
  if (text.empty() || text.size() % kSpaceMark.size() != 0) return false;
  for (std::size_t at = 0; at < text.size(); at += kSpaceMark.size())
    if (text.substr(at, kSpaceMark.size()) != kSpaceMark) return false;
  return true;
}

void add_tokens(Vocabulary& vocabulary, std::vector<AddedToken> added) {
  for (const AddedToken& token : added) {
    if (token.id < 0 || token.id >= kMaxPieces)
      bad(vocabulary, "added token '" + token.text + "': expected an id below " + std::to_string(kMaxPieces) +
                          ", found " + std::to_string(token.id));
    if (token.text.empty()) bad(vocabulary, "added token " + std::to_string(token.id) + " has no text");
    if (vocabulary.pieces.size() <= static_cast<std::size_t>(token.id)) vocabulary.pieces.resize(token.id + 1);
    Piece& piece = vocabulary.pieces[token.id];
    const bool is_merged = piece.text == token.text && piece.type == PieceType::kNormal && is_space_run(token.text);
    if (!is_merged) piece = {token.text, 0.0f, PieceType::kAtom};
  }
  vocabulary.added = std::move(added);
}

PieceTable check_vocabulary(const Vocabulary& vocabulary) {
  PieceTable table(vocabulary.pieces);
  int bytes = 0;
  for (std::size_t id = 0; id < vocabulary.pieces.size(); ++id) {
    const Piece& piece = vocabulary.pieces[id];
    if (piece.text.empty()) continue;
    if (utf8_valid_prefix(piece.text) != piece.text.size())
      bad(vocabulary, "piece " + std::to_string(id) + " is not UTF-8");
    if (!std::isfinite(piece.score))
      bad(vocabulary, "piece " + std::to_string(id) + " has a score that is not a number");
    if (const std::int32_t other = table.find(piece.text); other >= 0)
      bad(vocabulary,
          "'" + piece.text + "' stands twice, as pieces " + std::to_string(other) + " and " + std::to_string(id));
    table.insert(static_cast<std::int32_t>(id));
    if (piece.type == PieceType::kByte && byte_of_piece(piece.text) < 0)
      bad(vocabulary, "'" + piece.text + "' is called a byte, expected <0x00> .. <0xFF>");
    bytes += piece.type == PieceType::kByte;
  }
  if (bytes != 256)
    bad(vocabulary, "expected 256 byte pieces <0x00> .. <0xFF> (byte fallback), found " + std::to_string(bytes));
  return table;
}

}  // namespace g3n

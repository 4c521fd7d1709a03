// A vocabulary as both tokenizer files give it: pieces with scores and types, added tokens, and the names of the
// special ones. Read by sentencepiece_file.h (tokenizer.model) and tokenizer_json.h (tokenizer.json), used by
// Tokenizer.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace g3n {

enum class PieceType {
  kNormal,  // made by merging
  kAtom,    // in the vocabulary, never made by merging: matched whole (an added token), or a hole
  kByte,    // <0x00> .. <0xFF>
};

struct Piece {
  std::string text;
  float score = 0;  // of two possible merges the higher score comes first
  PieceType type = PieceType::kAtom;
};

// Matched in raw text before anything else, the longest at the leftmost place.
struct AddedToken {
  std::int32_t id = 0;
  std::string text;
  bool is_special = false;  // a control token: left out of decoded text on request, plain text when a user writes it
};

struct Vocabulary {
  std::string file;           // for messages
  std::vector<Piece> pieces;  // by id; a piece without text is a hole
  std::vector<AddedToken> added;
  std::map<std::string, std::string> names;  // "bos_token": "<bos>", ... where a file says so
};

inline constexpr std::int64_t kMaxPieces = 1 << 22;             // a hostile file must not make us allocate by its ids
inline constexpr std::string_view kSpaceMark = "\xE2\x96\x81";  // U+2581, which stands for a space inside pieces

// "<0x0A>" is byte 10; -1 if text is not of this form.
int byte_of_piece(std::string_view text);

// Is text made of U+2581 only? Such added tokens are also made by merging, because a space becomes U+2581 after added
// tokens were matched.
bool is_space_run(std::string_view text);

// Puts added tokens into the pieces (also behind their end) in place of what stands there.
void add_tokens(Vocabulary& vocabulary, std::vector<AddedToken> added);

// Files do not say for all control tokens that they are such (the turn tokens of tokenizer.model are user-defined), or
// say it of others: the names that Gemma uses (and vocabulary.names) decide.
void mark_special(Vocabulary& vocabulary);

}  // namespace g3n

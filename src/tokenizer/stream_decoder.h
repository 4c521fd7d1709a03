// Ids to text while they are generated: what comes out is always whole UTF-8 characters.
#pragma once
#include <cstdint>
#include <string>

namespace g3n {

class Tokenizer;

class StreamDecoder {
 public:
  // The tokenizer must outlive the decoder. With skip_special control tokens give nothing, and do not end a run of byte
  // tokens.
  explicit StreamDecoder(const Tokenizer& tokenizer, bool skip_special = true)
      : tokenizer_(&tokenizer), skip_special_(skip_special) {}

  // The text that id makes certain: its piece, or nothing while byte tokens wait for the rest of their character.
  // Bytes that turn out to be no character give one U+FFFD per maximal broken subpart. An id without a piece gives
  // nothing.
  std::string push(std::int32_t id);

  // At the end: U+FFFD if a character is still incomplete. The decoder is new again.
  std::string flush();

  // Whether byte tokens wait for the rest of their character.
  bool is_inside_character() const { return !pending_.empty(); }

 private:
  const Tokenizer* tokenizer_;
  bool skip_special_;
  std::string pending_;  // the beginning of a character, at most 3 bytes
};

}  // namespace g3n

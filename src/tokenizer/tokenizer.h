// Text to ids and back, equal to Hugging Face's GemmaTokenizer: added tokens are matched in the raw text, then byte
// pair encoding with byte fallback. Const after loading: any number of threads may share one Tokenizer.
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "g3n/message.h"
#include "core/file_set.h"
#include "tokenizer/added_tokens.h"
#include "tokenizer/bpe.h"
#include "tokenizer/vocabulary.h"

namespace g3n {

enum class InvalidUtf8 {
  kRefuse,  // throws kInvalidArgument, naming the byte and its offset
  kRepair,  // U+FFFD for every maximal broken subpart
};
struct EncodeOptions {
  ControlTokens control = ControlTokens::kAsText;
  InvalidUtf8 invalid_utf8 = InvalidUtf8::kRefuse;
};

// A stretch of a prompt: text, in which control tokens mean nothing, or one control token, `repeat` times.
struct Segment {
  std::string text;
  bool is_control = false;
  int repeat = 1;
};

// Ids of the tokens that code asks for by name; -1 where the vocabulary has none.
struct SpecialTokens {
  std::int32_t pad = -1, eos = -1, bos = -1, unk = -1, start_of_turn = -1, end_of_turn = -1;
  std::int32_t image_begin = -1, image_soft = -1, image_end = -1, audio_begin = -1, audio_soft = -1, audio_end = -1;
};

// What Tokenizer::load makes a tokenizer of. Throws as it does.
Vocabulary read_vocabulary(const FileSet& files);

class Tokenizer {
 public:
  // Is there a tokenizer.model or tokenizer.json in this folder?
  static bool is_in(const std::string& folder);
  static bool is_in(const FileSet& files);

  // tokenizer.model if it is there (with the added tokens of tokenizer.json or tokenizer_config.json beside it), else
  // tokenizer.json. Throws kNotFound when the folder has neither, kBadFile or kUnsupported for files that are broken or
  // not of Gemma's kind.
  static std::unique_ptr<Tokenizer> load(const std::string& folder);
  static std::unique_ptr<Tokenizer> load(const FileSet& files);

  // Throws kBadFile for an unsound vocabulary.
  explicit Tokenizer(Vocabulary vocabulary);
  Tokenizer(const Tokenizer&) = delete;
  Tokenizer& operator=(const Tokenizer&) = delete;

  // Nothing is added in front or behind: <bos> is in the rendered prompt, or the caller's to add.
  std::vector<std::int32_t> encode(std::string_view text, EncodeOptions options = {}) const;

  // A prompt: neighbouring texts are encoded as one text, so runs of newlines merge. Throws kInvalidArgument for
  // invalid UTF-8, kUnsupported when the vocabulary lacks a control token.
  std::vector<std::int32_t> encode(std::span<const Segment> segments) const;

  // Cuts text at its control tokens: encode(split(text)) equals encode(text, {.control = kParse}).
  std::vector<Segment> split(std::string_view text) const;

  // The text of ids; ids without a piece give nothing. A byte token that completes no character gives U+FFFD. See also
  // StreamDecoder.
  std::string decode(std::span<const std::int32_t> ids, bool skip_special = false) const;

  // The piece as it stands in the vocabulary (U+2581 for a space, <0x0A> for a byte); throws kInvalidArgument for an id
  // without one.
  const std::string& piece(std::int32_t id) const;
  // -1 if there is no such piece.
  std::int32_t id(std::string_view piece) const { return table_.find(piece); }
  std::int32_t vocab_size() const { return static_cast<std::int32_t>(vocabulary_.pieces.size()); }

  bool has_piece(std::int32_t id) const { return id >= 0 && id < vocab_size() && !vocabulary_.pieces[id].text.empty(); }
  // A control token: left out of decoded text on request.
  bool is_special(std::int32_t id) const { return has_piece(id) && is_special_[id]; }
  // The byte of a byte token, else -1.
  int byte_of(std::int32_t id) const;

  const SpecialTokens& special() const { return special_; }
  // The file the vocabulary came from.
  const std::string& file() const { return vocabulary_.file; }

 private:
  void encode_text(std::string_view text, ControlTokens control, std::vector<std::int32_t>& ids) const;

  Vocabulary vocabulary_;
  PieceTable table_;
  AddedTokens added_;
  Bpe bpe_;
  std::vector<bool> is_special_;
  SpecialTokens special_;
};

}  // namespace g3n

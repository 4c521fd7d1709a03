// Byte pair encoding of text that holds no added token: spec/processor.md 7. Const after construction, so any number of
// threads may encode.
#pragma once
#include <cstdint>
#include <string_view>
#include <vector>

#include "tokenizer/piece_table.h"
#include "tokenizer/vocabulary.h"

namespace g3n {

class Bpe {
 public:
  // pieces must have passed check_vocabulary, must outlive this and must not change.
  explicit Bpe(const std::vector<Piece>& pieces);

  // Appends the ids of text (UTF-8; a space stands for U+2581): two neighbours merge when their concatenation is a
  // piece, the higher score first, the leftmost of equals; a character without a piece becomes its bytes. Time n log n,
  // and linear where words are short.
  void encode(std::string_view text, std::vector<std::int32_t>& ids) const;

 private:
  struct Symbol;
  struct Offer;
  struct Workspace;

  void encode_unit(std::string_view unit, Workspace& work, std::vector<std::int32_t>& ids) const;
  void offer(std::string_view unit, std::int32_t left, Workspace& work) const;
  bool may_touch(char32_t left, char32_t right) const;

  PieceTable table_;
  std::vector<std::uint32_t> rank_;      // by id: 0 is merged first; equal scores have equal ranks
  std::vector<std::int32_t> character_;  // by scalar: the piece of this one character, or -1
  std::vector<std::uint64_t> touching_;  // a Bloom filter of character pairs that stand side by side in some piece
  std::int32_t byte_[256];
  std::size_t longest_ = 0;  // bytes of the longest mergeable piece
};

}  // namespace g3n

// From the text of a piece to its id: open addressing over texts that live elsewhere. Most questions are answered "no"
// by one look at a slot.
#pragma once
#include <bit>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

#include "tokenizer/vocabulary.h"

namespace g3n {

class PieceTable {
 public:
  // pieces must outlive the table and keep their texts where they are. At most four slots of seven are taken: Gemma's
  // 262,400 pieces are half of 2^19.
  explicit PieceTable(const std::vector<Piece>& pieces)
      : pieces_(&pieces), slots_(std::bit_ceil(pieces.size() / 4 * 7 + 8)), mask_(slots_.size() - 1) {}

  // A text must be inserted once only.
  void insert(std::int32_t id) {
    const std::uint64_t hash = hash_of((*pieces_)[id].text);
    std::uint64_t slot = hash & mask_;
    while (slots_[slot].id >= 0) slot = (slot + 1) & mask_;
    slots_[slot] = {static_cast<std::uint32_t>(hash >> 32), id};
  }

  // -1 when there is no such piece.
  std::int32_t find(std::string_view text) const {
    const std::uint64_t hash = hash_of(text);
    const auto mark = static_cast<std::uint32_t>(hash >> 32);
    for (std::uint64_t slot = hash & mask_; slots_[slot].id >= 0; slot = (slot + 1) & mask_)
      if (slots_[slot].mark == mark && (*pieces_)[slots_[slot].id].text == text) return slots_[slot].id;
    return -1;
  }

 private:
  struct Slot {
    std::uint32_t mark = 0;  // the upper half of the hash
    std::int32_t id = -1;
  };

  // Eight bytes at a time, multiply and fold.
  static std::uint64_t hash_of(std::string_view text) {
    std::uint64_t hash = text.size() * 0x9E3779B97F4A7C15u;
    const auto mix = [&hash](std::uint64_t word) {
      hash = (hash ^ word) * 0xD6E8FEB86659FD93u;
      hash ^= hash >> 32;
    };
    const char* at = text.data();
    std::size_t left = text.size();
    std::uint64_t word = 0;
    for (; left >= 8; at += 8, left -= 8) {
      std::memcpy(&word, at, 8);
      mix(word);
    }
    word = 0;
    for (std::size_t i = 0; i < left; ++i)
      word |= static_cast<std::uint64_t>(static_cast<unsigned char>(at[i])) << (8 * i);
    mix(word);
    return hash * 0xD6E8FEB86659FD93u;
  }

  const std::vector<Piece>* pieces_;
  std::vector<Slot> slots_;
  std::uint64_t mask_;
};

// Checks what the tokenizer relies on: UTF-8, no piece twice, finite scores, all 256 bytes. Throws kBadFile; returns
// the table of all pieces.
PieceTable check_vocabulary(const Vocabulary& vocabulary);

}  // namespace g3n

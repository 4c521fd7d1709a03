// Finds added tokens in raw text: the longest one at the leftmost place, then on behind it.
#pragma once
#include <array>
#include <cstddef>
#include <string_view>
#include <vector>

#include "tokenizer/vocabulary.h"

namespace g3n {

class AddedTokens {
 public:
  explicit AddedTokens(std::vector<AddedToken> tokens);

  struct Match {
    const AddedToken* token = nullptr;  // null: none, and begin is text.size()
    std::size_t begin = 0;
  };
  // The first match at or behind `from`.
  Match find(std::string_view text, std::size_t from) const;

  // The token that is exactly `text`, or null.
  const AddedToken* token(std::string_view text) const;

  const std::vector<AddedToken>& all() const { return tokens_; }

 private:
  const AddedToken* longest_prefix(std::string_view text) const;

  std::vector<AddedToken> tokens_;        // sorted by text
  std::array<std::size_t, 257> first_{};  // tokens that begin with byte b: first_[b] .. first_[b + 1]
};

}  // namespace g3n

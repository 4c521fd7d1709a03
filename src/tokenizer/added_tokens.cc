// A sorted list, narrowed byte by byte: after d bytes the tokens that agree with the text so far are neighbours in it.
#include "tokenizer/added_tokens.h"

#include <algorithm>

namespace g3n {
namespace {

int byte_at(const AddedToken& token, std::size_t depth) {
  return depth < token.text.size() ? static_cast<unsigned char>(token.text[depth]) : -1;
}

}  // namespace

AddedTokens::AddedTokens(std::vector<AddedToken> tokens) : tokens_(std::move(tokens)) {
  std::sort(tokens_.begin(), tokens_.end(), [](const AddedToken& a, const AddedToken& b) { return a.text < b.text; });
  for (const AddedToken& token : tokens_) ++first_[static_cast<unsigned char>(token.text[0]) + 1];
  for (std::size_t b = 0; b < 256; ++b) first_[b + 1] += first_[b];
}

const AddedToken* AddedTokens::longest_prefix(std::string_view text) const {
  const auto first = static_cast<unsigned char>(text[0]);
  auto begin = tokens_.begin() + static_cast<std::ptrdiff_t>(first_[first]),
       end = tokens_.begin() + static_cast<std::ptrdiff_t>(first_[first + 1]);
  const AddedToken* longest = nullptr;
  for (std::size_t depth = 1; begin != end; ++depth) {
    if (begin->text.size() == depth) longest = &*begin++;  // the shorter text sorts first
    if (depth == text.size()) break;
    const int byte = static_cast<unsigned char>(text[depth]);
    begin = std::lower_bound(begin, end, byte,
                             [depth](const AddedToken& token, int b) { return byte_at(token, depth) < b; });
    end = std::upper_bound(begin, end, byte,
                           [depth](int b, const AddedToken& token) { return b < byte_at(token, depth); });
  }
  return longest;
}

AddedTokens::Match AddedTokens::find(std::string_view text, std::size_t from) const {
  for (std::size_t at = from; at < text.size(); ++at) {
    const auto byte = static_cast<unsigned char>(text[at]);
    if (first_[byte] == first_[byte + 1]) continue;
    if (const AddedToken* token = longest_prefix(text.substr(at))) return {token, at};
  }
  return {nullptr, text.size()};
}

const AddedToken* AddedTokens::token(std::string_view text) const {
  const auto at = std::lower_bound(tokens_.begin(), tokens_.end(), text,
                                   [](const AddedToken& token, std::string_view t) { return token.text < t; });
  return at != tokens_.end() && at->text == text ? &*at : nullptr;
}

}  // namespace g3n

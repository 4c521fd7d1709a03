// HF: decoders Replace(U+2581, " "), ByteFallback, Fuse; but broken bytes as a stream can treat them (spec/processor.md
// 7).
#include "tokenizer/stream_decoder.h"

#include "tokenizer/tokenizer.h"
#include "core/utf8.h"

namespace g3n {

std::string StreamDecoder::push(std::int32_t id) {
  if (!tokenizer_->has_piece(id) || (skip_special_ && tokenizer_->is_special(id))) return {};
  std::string out;
  if (const int byte = tokenizer_->byte_of(id); byte >= 0) {
    pending_ += static_cast<char>(byte);
    while (!pending_.empty()) {
      const Utf8Step step = utf8_step(pending_);
      if (step.kind == Utf8Step::kIncomplete) break;
      out += step.kind == Utf8Step::kScalar ? std::string_view(pending_).substr(0, step.size) : kReplacementCharacter;
      pending_.erase(0, step.size);
    }
    return out;
  }
  out = flush();
  const std::string_view piece = tokenizer_->piece(id);
  for (std::size_t at = 0; at < piece.size();) {
    const std::size_t mark = piece.find(kSpaceMark, at);
    out += piece.substr(at, mark - at);
    if (mark == std::string_view::npos) break;
    out += ' ';
    at = mark + kSpaceMark.size();
  }
  return out;
}

std::string StreamDecoder::flush() {
  const std::string out(pending_.empty() ? std::string_view() : kReplacementCharacter);
  pending_.clear();
  return out;
}

}  // namespace g3n

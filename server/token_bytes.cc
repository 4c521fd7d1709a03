#include "server/token_bytes.h"

#include "g3n/engine.h"

namespace g3n::server {

std::string token_bytes(const Engine& engine, std::int32_t id) {
  constexpr std::string_view kSpace = "\xE2\x96\x81";  // SentencePiece's sign for a space
  if (engine.decode({id}).empty()) return "";
  const std::string piece = engine.piece(id);
  const auto digit = [](char c) { return c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10; };
  if (piece.size() == 6 && piece.compare(0, 3, "<0x") == 0 && piece[5] == '>')
    return std::string(1, static_cast<char>(digit(piece[3]) * 16 + digit(piece[4])));
  std::string bytes;
  for (std::size_t i = 0; i < piece.size();) {
    if (piece.compare(i, kSpace.size(), kSpace) == 0) {
      bytes += ' ';
      i += kSpace.size();
    } else {
      bytes += piece[i++];
    }
  }
  return bytes;
}

std::string token_text(const Engine& engine, std::int32_t id) {
  std::string bytes = token_bytes(engine, id);
  return bytes.empty() && id < engine.pieces() ? engine.piece(id) : bytes;
}

}  // namespace g3n::server

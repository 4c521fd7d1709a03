// The merge loop: symbols in a linked list, possible merges in a heap. Text is first cut wherever no piece could span
// the cut (in Gemma's vocabulary before every word), which changes no id and keeps list and heap in the cache.
#include "tokenizer/bpe.h"

#include <algorithm>
#include <numeric>

#include "g3n/error.h"
#include "core/utf8.h"

namespace g3n {
namespace {

constexpr std::uint64_t kTouchingBits = 1 << 22;

std::uint64_t touching_bit(char32_t left, char32_t right) {
  const std::uint64_t hash = (static_cast<std::uint64_t>(left) << 32 | right) * 0x9E3779B97F4A7C15u;
  return (hash ^ hash >> 29) * 0xD6E8FEB86659FD93u >> 42;
}
static_assert((~std::uint64_t{0} >> 42) == kTouchingBits - 1);

}  // namespace

// A run of bytes of the unit: one character at first, later the pieces merged so far.
struct Bpe::Symbol {
  std::int32_t id;           // -1: no piece, its bytes are written
  std::int32_t begin, size;  // size 0: merged into its left neighbour
  std::int32_t previous, next;
};

// A merge that was possible when it was offered; it still is if both sizes add up to `size`.
struct Bpe::Offer {
  std::uint64_t order;  // rank, then the left symbol
  std::int32_t right, size, id;
  std::int32_t left() const { return static_cast<std::int32_t>(order & 0xFFFFFFFF); }
  bool operator<(const Offer& other) const { return order > other.order; }  // a heap's top is its largest
};

struct Bpe::Workspace {
  std::vector<Symbol> symbols;
  std::vector<Offer> heap;
};

Bpe::Bpe(const std::vector<Piece>& pieces)
    : table_(pieces), rank_(pieces.size()), character_(0x110000, -1), touching_(kTouchingBits / 64) {
  std::vector<std::int32_t> mergeable;
  for (std::size_t id = 0; id < pieces.size(); ++id) {
    const Piece& piece = pieces[id];
    if (piece.type == PieceType::kByte) byte_[byte_of_piece(piece.text)] = static_cast<std::int32_t>(id);
    if (piece.type != PieceType::kNormal || piece.text.empty()) continue;
    const Utf8Step first = utf8_step(piece.text);
    if (first.size == piece.text.size()) character_[first.scalar] = static_cast<std::int32_t>(id);
    char32_t left = first.scalar;
    for (std::size_t at = first.size; at < piece.text.size();) {
      const Utf8Step step = utf8_step(std::string_view(piece.text).substr(at));
      const std::uint64_t bit = touching_bit(left, step.scalar);
      touching_[bit / 64] |= std::uint64_t{1} << (bit % 64);
      left = step.scalar;
      at += step.size;
    }
    table_.insert(static_cast<std::int32_t>(id));
    longest_ = std::max(longest_, piece.text.size());
    mergeable.push_back(static_cast<std::int32_t>(id));
  }
  std::stable_sort(mergeable.begin(), mergeable.end(),
                   [&](std::int32_t a, std::int32_t b) { return pieces[a].score > pieces[b].score; });
  for (std::size_t i = 0, rank = 0; i < mergeable.size(); ++i) {
    if (i > 0 && pieces[mergeable[i]].score != pieces[mergeable[i - 1]].score) ++rank;
    rank_[mergeable[i]] = static_cast<std::uint32_t>(rank);
  }
}

bool Bpe::may_touch(char32_t left, char32_t right) const {
  const std::uint64_t bit = touching_bit(left, right);
  return touching_[bit / 64] >> (bit % 64) & 1;
}

void Bpe::encode(std::string_view text, std::vector<std::int32_t>& ids) const {
  if (text.size() > static_cast<std::size_t>(INT32_MAX) / kSpaceMark.size())
    throw Error(ErrorCode::kInvalidArgument, "tokenizer: expected at most 715 MB of text at a time, found " +
                                                 std::to_string(text.size()) + " bytes");
  constexpr char32_t kMark = 0x2581;
  Workspace work;
  std::string unit;
  std::int32_t begin = 0;
  char32_t left = 0;
  for (std::size_t at = 0; at < text.size();) {
    const Utf8Step step = utf8_step(text.substr(at));
    const bool is_space = step.scalar == ' ';
    const char32_t scalar = is_space ? kMark : step.scalar;
    if (at > 0 && !may_touch(left, scalar)) {
      encode_unit(unit, work, ids);
      work.symbols.clear();
      unit.clear();
      begin = 0;
    }
    unit += is_space ? kSpaceMark : text.substr(at, step.size);
    const auto size = static_cast<std::int32_t>(unit.size()) - begin,
               index = static_cast<std::int32_t>(work.symbols.size());
    work.symbols.push_back({character_[scalar], begin, size, index - 1, index + 1});
    begin += size;
    left = scalar;
    at += step.size;
  }
  encode_unit(unit, work, ids);
}

void Bpe::offer(std::string_view unit, std::int32_t left, Workspace& work) const {
  const Symbol& first = work.symbols[left];
  if (first.id < 0 || first.next >= static_cast<std::int32_t>(work.symbols.size())) return;
  const Symbol& second = work.symbols[first.next];
  const std::int32_t size = first.size + second.size;
  if (second.id < 0 || static_cast<std::size_t>(size) > longest_) return;
  const std::int32_t id = table_.find(unit.substr(first.begin, size));
  if (id < 0) return;
  work.heap.push_back(
      {static_cast<std::uint64_t>(rank_[id]) << 32 | static_cast<std::uint32_t>(left), first.next, size, id});
  std::push_heap(work.heap.begin(), work.heap.end());
}

void Bpe::encode_unit(std::string_view unit, Workspace& work, std::vector<std::int32_t>& ids) const {
  std::vector<Symbol>& symbols = work.symbols;
  const auto count = static_cast<std::int32_t>(symbols.size());
  for (std::int32_t i = 0; i + 1 < count; ++i) offer(unit, i, work);
  while (!work.heap.empty()) {
    const Offer best = work.heap.front();
    std::pop_heap(work.heap.begin(), work.heap.end());
    work.heap.pop_back();
    Symbol &left = symbols[best.left()], &right = symbols[best.right];
    if (left.size == 0 || right.size == 0 || left.size + right.size != best.size) continue;
    left.id = best.id;
    left.size = best.size;
    left.next = right.next;
    right.size = 0;
    if (left.next < count) symbols[left.next].previous = best.left();
    if (left.previous >= 0) offer(unit, left.previous, work);
    offer(unit, best.left(), work);
  }
  for (std::int32_t i = 0; i < count; i = symbols[i].next) {
    if (symbols[i].id >= 0) {
      ids.push_back(symbols[i].id);
    } else {
      for (const char byte : unit.substr(symbols[i].begin, symbols[i].size))
        ids.push_back(byte_[static_cast<unsigned char>(byte)]);
    }
  }
}

}  // namespace g3n

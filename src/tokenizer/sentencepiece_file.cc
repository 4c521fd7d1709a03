// Walks a ModelProto: pieces (field 1), trainer_spec (2), normalizer_spec (3). Every length is checked before it is
// used; what is not known is skipped.
#include "tokenizer/sentencepiece_file.h"

#include <bit>
#include <cstring>

#include "g3n/error.h"

namespace g3n {
namespace {

// SentencePiece's piece types.
enum : std::uint64_t {
  kProtoNormal = 1,
  kProtoUnknown = 2,
  kProtoControl = 3,
  kProtoUserDefined = 4,
  kProtoUnused = 5,
  kProtoByte = 6
};
constexpr std::uint64_t kModelTypeBpe = 2;

struct Field {
  std::uint64_t number = 0;
  int wire = 0;             // 0 varint, 1 eight bytes, 2 bytes with a length, 5 four bytes
  std::uint64_t value = 0;  // wire 0, 1, 5
  std::string_view bytes;   // wire 2
};

class Walker {
 public:
  Walker(std::string_view bytes, std::string where) : bytes_(bytes), where_(std::move(where)) {}

  // The next field, or false at the end.
  bool next(Field& field) {
    if (at_ == bytes_.size()) return false;
    const std::uint64_t key = varint();
    field = {key >> 3, static_cast<int>(key & 7), 0, {}};
    if (field.number == 0) bad("a field with number 0");
    switch (field.wire) {
      case 0: field.value = varint(); return true;
      case 1: field.value = little_endian(8); return true;
      case 2: field.bytes = take(varint()); return true;
      case 5: field.value = little_endian(4); return true;
      default: bad("wire type " + std::to_string(field.wire) + ", expected 0, 1, 2 or 5");
    }
  }

  [[noreturn]] void bad(const std::string& what) const {
    throw Error(ErrorCode::kBadFile,
                where_ + ": not a SentencePiece model: at byte " + std::to_string(at_) + ": " + what);
  }

  void expect_wire(const Field& field, int wire) const {
    if (field.wire != wire)
      bad("field " + std::to_string(field.number) + " has wire type " + std::to_string(field.wire) + ", expected " +
          std::to_string(wire));
  }

 private:
  std::string_view take(std::uint64_t size) {
    if (size > bytes_.size() - at_)
      bad("expected " + std::to_string(size) + " more bytes, found " + std::to_string(bytes_.size() - at_));
    const std::string_view taken = bytes_.substr(at_, size);
    at_ += size;
    return taken;
  }
  std::uint64_t varint() {
    std::uint64_t value = 0;
    for (int shift = 0; shift < 70; shift += 7) {
      const auto byte = static_cast<unsigned char>(take(1)[0]);
      if (shift == 63 && byte > 1) break;
      value |= static_cast<std::uint64_t>(byte & 127) << shift;
      if (byte < 128) return value;
    }
    bad("a number of more than 64 bits");
  }
  std::uint64_t little_endian(int size) {
    const std::string_view taken = take(size);
    std::uint64_t value = 0;
    for (int i = 0; i < size; ++i) value |= static_cast<std::uint64_t>(static_cast<unsigned char>(taken[i])) << (8 * i);
    return value;
  }

  std::string_view bytes_;
  std::string where_;
  std::size_t at_ = 0;
};

struct ProtoPiece {
  std::string_view text;
  float score = 0;
  std::uint64_t type = kProtoNormal;
};

ProtoPiece read_piece(std::string_view bytes, const std::string& where) {
  Walker walker(bytes, where);
  ProtoPiece piece;
  for (Field field; walker.next(field);) {
    if (field.number == 1) {
      walker.expect_wire(field, 2);
      piece.text = field.bytes;
    } else if (field.number == 2) {
      walker.expect_wire(field, 5);
      piece.score = std::bit_cast<float>(static_cast<std::uint32_t>(field.value));
    } else if (field.number == 3) {
      walker.expect_wire(field, 0);
      piece.type = field.value;
    }
  }
  if (piece.text.empty()) walker.bad("a piece without text");
  if (piece.type < kProtoNormal || piece.type > kProtoByte)
    walker.bad("piece type " + std::to_string(piece.type) + ", expected 1 .. 6");
  return piece;
}

void check_trainer(std::string_view bytes, const std::string& file) {
  Walker walker(bytes, file + ": trainer_spec");
  std::uint64_t model_type = 1, byte_fallback = 0, suffix = 0;
  for (Field field; walker.next(field);) {
    std::uint64_t* const known = field.number == 3    ? &model_type
                                 : field.number == 35 ? &byte_fallback
                                 : field.number == 24 ? &suffix
                                                      : nullptr;
    if (known == nullptr) continue;
    walker.expect_wire(field, 0);
    *known = field.value;
  }
  if (model_type != kModelTypeBpe)
    throw Error(
        ErrorCode::kUnsupported,
        file + ": expected a BPE model (trainer_spec.model_type 2), found model_type " + std::to_string(model_type));
  if (byte_fallback == 0 || suffix != 0)
    throw Error(
        ErrorCode::kUnsupported,
        file + ": expected byte_fallback and no treat_whitespace_as_suffix in trainer_spec, as in Gemma's files");
}

void check_normalizer(std::string_view bytes, const std::string& file) {
  Walker walker(bytes, file + ": normalizer_spec");
  bool has_charsmap = false;
  std::uint64_t dummy_prefix = 1, remove_spaces = 1, escape_spaces = 1;
  for (Field field; walker.next(field);) {
    if (field.number == 2) has_charsmap = !field.bytes.empty();
    std::uint64_t* const known = field.number == 3   ? &dummy_prefix
                                 : field.number == 4 ? &remove_spaces
                                 : field.number == 5 ? &escape_spaces
                                                     : nullptr;
    if (known == nullptr) continue;
    walker.expect_wire(field, 0);
    *known = field.value;
  }
  if (has_charsmap || dummy_prefix || remove_spaces || !escape_spaces)
    throw Error(
        ErrorCode::kUnsupported,
        file +
            ": expected a normalizer that only turns spaces into U+2581, as in Gemma's files; found a character map, "
            "add_dummy_prefix, remove_extra_whitespaces, or no escape_whitespaces");
}

void append(Vocabulary& vocabulary, std::vector<AddedToken>& added, const ProtoPiece& piece) {
  const std::string text(piece.text);
  const bool is_merged = piece.type == kProtoNormal || (piece.type == kProtoUserDefined && is_space_run(text));
  const PieceType type = piece.type == kProtoByte ? PieceType::kByte
                         : is_merged              ? PieceType::kNormal
                                                  : PieceType::kAtom;
  if (piece.type == kProtoControl || piece.type == kProtoUnknown || piece.type == kProtoUserDefined)
    added.push_back({static_cast<std::int32_t>(vocabulary.pieces.size()), text, piece.type != kProtoUserDefined});
  vocabulary.pieces.push_back({text, piece.score, type});
}

}  // namespace

Vocabulary read_sentencepiece(std::string_view bytes, const std::string& file) {
  Walker walker(bytes, file);
  Vocabulary vocabulary{file, {}, {}, {}};
  std::vector<AddedToken> added;
  bool has_trainer = false, has_normalizer = false;
  int unknown = 0;
  for (Field field; walker.next(field);) {
    if (field.number < 1 || field.number > 3) continue;
    walker.expect_wire(field, 2);
    if (field.number == 1) {
      const ProtoPiece piece = read_piece(field.bytes, file + ": piece " + std::to_string(vocabulary.pieces.size()));
      if (vocabulary.pieces.size() >= kMaxPieces) walker.bad("more than " + std::to_string(kMaxPieces) + " pieces");
      unknown += piece.type == kProtoUnknown;
      append(vocabulary, added, piece);
    } else if (field.number == 2) {
      check_trainer(field.bytes, file);
      has_trainer = true;
    } else {
      check_normalizer(field.bytes, file);
      has_normalizer = true;
    }
  }
  if (vocabulary.pieces.empty() || !has_trainer || !has_normalizer)
    walker.bad("the file ends before its pieces, trainer_spec and normalizer_spec are complete");
  if (unknown != 1) walker.bad("expected one unknown piece, found " + std::to_string(unknown));
  add_tokens(vocabulary, std::move(added));
  return vocabulary;
}

}  // namespace g3n

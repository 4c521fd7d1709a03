// MediaKinds: the one table of what can stand in a prompt beside text: ids, soft tokens, encoder (processor.md 1).
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>

namespace g3n {

class Config;  // json/config.h

enum class MediaKind : uint8_t { kImage, kAudio };
inline constexpr int kMediaKindCount = 2;

struct MediaKindFacts {
  MediaKind kind = MediaKind::kImage;
  const char* name = "";    // "image", "audio": in messages
  int32_t soft_id = 0;      // stands in the ids once per soft token
  int64_t soft_tokens = 0;  // of one block
  uint8_t token_type = 0;   // HF: token_type_ids
  int32_t side_offset = 0;  // ids [side_offset, side_offset + side_vocab) have their vectors in the encoder's own table
  int64_t side_vocab = 0;
  bool has_encoder = false;
};

class MediaKinds {
 public:
  // Ids and counts from config.json; keys that are missing: Gemma 3n's. Throws kBadFile for numbers out of range, and
  // for side vocabularies that overlap the ids of text or each other. has_encoder stays false: the tensors tell.
  static MediaKinds from(const Config& top);

  const MediaKindFacts& of(MediaKind kind) const { return facts_[static_cast<size_t>(kind)]; }
  MediaKindFacts& of(MediaKind kind) { return facts_[static_cast<size_t>(kind)]; }
  const std::array<MediaKindFacts, kMediaKindCount>& all() const { return facts_; }
  // The kind whose soft token (whose side vocabulary) an id is; null: none. Ids between two side vocabularies are of
  // neither.
  const MediaKindFacts* of_soft_id(int32_t id) const;
  const MediaKindFacts* of_side_id(int32_t id) const;

 private:
  std::array<MediaKindFacts, kMediaKindCount> facts_;
};

}  // namespace g3n

// A conversation as callers see it: messages of parts. Media travel as bytes of a file, as pixels or samples, as what
// an encoder is fed, or as soft tokens.
#pragma once
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

namespace g3n {

// What the literal of a control token (<end_of_turn>, <bos>, <image_soft_token>, ...) in a text means.
enum class ControlTokens {
  kAsText,  // characters like any others: for text of users
  kParse,   // the token: for rendered prompts and for callers who know what they do
};

// An encoded file (JPEG, PNG, WAV, FLAC, ...), recognised by its content. name is used in error messages only.
struct MediaBytes {
  std::vector<std::uint8_t> bytes;
  std::string name;
};

// Decoded RGB pixels, row-major uint8 [height, width, 3].
struct Pixels {
  int width = 0;
  int height = 0;
  std::vector<std::uint8_t> rgb;
};

// Mono samples in [-1, 1] at 16 kHz.
struct Samples {
  std::vector<float> pcm;
};

// What the vision encoder is fed: row-major f32 [3, height, width] in [0, 1] (HF: pixel_values). Taken as it is.
struct PixelValues {
  int width = 0;
  int height = 0;
  std::vector<float> chw;
};

// What the audio encoder is fed: row-major f32 [frames, mels] (HF: input_features), and which frames are of the clip
// and not padding (input_features_mask). Taken as it is.
struct LogMelFrames {
  std::int64_t frames = 0;
  std::int64_t mels = 0;
  std::vector<float> values;
  std::vector<std::uint8_t> valid;  // [frames], 0 or 1
};

// What an encoder made earlier: row-major f32 [soft_tokens, hidden].
struct SoftTokens {
  std::int64_t rows = 0;
  std::vector<float> values;
};

// Pixels a side of pictures for the vision encoder, whose coarsest map has one point for 32 x 32 of them. Its soft
// tokens are 16 x 16 whatever the size: multiples of 256 (as 256, 512 and 768) give each of them whole points of its
// own; smaller pictures are stretched.
constexpr int kLeastImageSide = 32, kMostImageSide = 4096;
// Throws Error{kInvalidArgument} naming these sizes, for a size that is neither among them nor 0 (not said).
void check_image_side(int pixels);

struct TextPart {
  std::string text;
};
struct ImagePart {
  std::variant<MediaBytes, Pixels, SoftTokens, PixelValues> source;
  int size = 0;  // pixels a side for the encoder, as check_image_side wants them; 0: the engine's
};
struct AudioPart {
  std::variant<MediaBytes, Samples, SoftTokens, LogMelFrames> source;
};
using Part = std::variant<TextPart, ImagePart, AudioPart>;
using MediaPart = std::variant<ImagePart, AudioPart>;

// role: "system" (first only), "user", "assistant" ("model" is the same); roles alternate, starting with user.
struct Message {
  std::string role;
  std::vector<Part> parts;

  static Message text(std::string role, std::string text) { return {std::move(role), {TextPart{std::move(text)}}}; }
};

}  // namespace g3n

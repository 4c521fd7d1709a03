#include "model/media_input.h"

#include <cmath>
#include <string>

#include "audio/mel.h"
#include "checkpoint/processor_config.h"
#include "g3n/error.h"
#include "media/audio.h"
#include "media/content_hash.h"
#include "media/image.h"
#include "vision/preprocess.h"

namespace g3n {
namespace {

constexpr int64_t kChannels = 3;
constexpr double kMaxSeconds = 3600;  // of a sound file

struct Extent {
  int width, height;
};

Extent encoder_extent(const ProcessorConfig& processor, int part_size, int engine_size) {
  const int size = part_size ? part_size : engine_size;
  if (size == 0) return {processor.image_width, processor.image_height};
  if (size < 1 || size > kMaxEncoderImageSide)
    throw Error(ErrorCode::kInvalidArgument, "image size: expected 0 (the checkpoint's) to " +
                                                 std::to_string(kMaxEncoderImageSide) + ", got " +
                                                 std::to_string(size));
  return {size, size};
}

template <typename T>
std::span<const std::byte> bytes_of(const std::vector<T>& values) {
  return std::as_bytes(std::span(values));
}

// What tells files, pixels, samples and soft tokens of the same bytes apart, and how they are encoded.
ContentHash hash_of(const char* what, std::initializer_list<int64_t> numbers, std::span<const std::byte> content) {
  ContentHasher hasher;
  hasher.add(std::string_view(what));
  for (const int64_t number : numbers) hasher.add(number);
  hasher.add(content);
  return hasher.finish();
}

MediaInput ready(const MediaKindFacts& kind, int64_t hidden, const SoftTokens& tokens) {
  const auto fail = [&](const std::string& wanted, const std::string& found) {
    throw Error(ErrorCode::kInvalidArgument,
                std::string(kind.name) + " soft tokens: expected " + wanted + ", got " + found);
  };
  const auto values = static_cast<int64_t>(tokens.values.size());
  if (tokens.rows != kind.soft_tokens || values != kind.soft_tokens * hidden)
    fail("[" + std::to_string(kind.soft_tokens) + ", " + std::to_string(hidden) + "]",
         std::to_string(tokens.rows) + (tokens.rows == 1 ? " row" : " rows") + " and " + std::to_string(values) +
             (values == 1 ? " value" : " values"));
  for (int64_t i = 0; i < values; ++i)
    if (!std::isfinite(tokens.values[static_cast<size_t>(i)]))
      fail("finite values", std::string(std::isnan(tokens.values[static_cast<size_t>(i)]) ? "NaN" : "infinity") +
                                " in row " + std::to_string(i / hidden) + ", column " + std::to_string(i % hidden));
  MediaInput input{.kind = kind.kind};
  input.content = hash_of("soft tokens", {static_cast<int64_t>(kind.kind)}, bytes_of(tokens.values));
  input.ready = std::make_shared<const SoftTokens>(tokens);
  return input;
}

// The picture of full size lives no longer than this call.
Pixels resized(const ImagePart& part, Extent extent) {
  if (const auto* given = std::get_if<Pixels>(&part.source)) return resize_image(*given, extent.width, extent.height);
  const auto& file = std::get<MediaBytes>(part.source);
  return resize_image(decode_image(file.bytes, file.name), extent.width, extent.height);
}

ContentHash content_of(const ImagePart& part, Extent extent) {
  if (const auto* file = std::get_if<MediaBytes>(&part.source))
    return hash_of("image file", {extent.width, extent.height}, bytes_of(file->bytes));
  const auto& given = std::get<Pixels>(part.source);
  return hash_of("pixels", {extent.width, extent.height, given.width, given.height}, bytes_of(given.rgb));
}

ContentHash content_of(const AudioPart& part) {
  if (const auto* file = std::get_if<MediaBytes>(&part.source)) return hash_of("audio file", {}, bytes_of(file->bytes));
  return hash_of("samples", {}, bytes_of(std::get<Samples>(part.source).pcm));
}

MediaInput read_image(const ProcessorConfig& processor, const ImagePart& part, int engine_size,
                      const KnownMedia& known) {
  const Extent extent = encoder_extent(processor, part.size, engine_size);
  MediaInput input{.kind = MediaKind::kImage, .height = extent.height, .width = extent.width};
  input.content = content_of(part, extent);
  if (known && (input.ready = known(input.content))) return input;
  const Pixels pixels = resized(part, extent);
  input.values.resize(static_cast<size_t>(input.height * input.width * kChannels));
  to_float(pixels, processor.rescale_factor, input.values.data());
  return input;
}

MediaInput read_clip(const ProcessorConfig& processor, const AudioPart& part, const Log& log, const KnownMedia& known) {
  MediaInput input{.kind = MediaKind::kAudio};
  input.content = content_of(part);
  if (known && (input.ready = known(input.content))) return input;
  const auto* file = std::get_if<MediaBytes>(&part.source);
  const Samples decoded = file ? decode_audio(file->bytes, file->name, kMaxSeconds, log) : Samples{};
  const Samples& samples = file ? decoded : std::get<Samples>(part.source);
  check_clip(processor.mel, samples.pcm, file ? file->name : "audio");
  LogMel mel = log_mel(processor.mel, samples.pcm);
  input.height = mel.frames, input.width = mel.mels;
  input.values = std::move(mel.values);
  input.valid = std::move(mel.valid);
  return input;
}

void expect_encoder(const MediaKindFacts& kind) {
  if (!kind.has_encoder)
    throw Error(ErrorCode::kUnsupported,
                std::string(kind.name) + ": this checkpoint has no encoder for it: expected ready soft tokens");
}

}  // namespace

const SoftTokens* soft_tokens_of(const MediaPart& part) {
  return std::visit([](const auto& p) { return std::get_if<SoftTokens>(&p.source); }, part);
}

EncoderInput MediaInput::view() const {
  EncoderInput input;
  if (ready) return input;
  if (kind == MediaKind::kImage)
    input.pixels = {values.data(), {height, width, kChannels}};
  else
    input.frames = {values.data(), {height, width}}, input.valid = valid;
  return input;
}

MediaInput read_medium(const ProcessorConfig& processor, const MediaKinds& kinds, int64_t hidden, const MediaPart& part,
                       int engine_image_size, const Log& log, const KnownMedia& known) {
  const MediaKindFacts& kind = kinds.of(kind_of(part));
  if (const SoftTokens* tokens = soft_tokens_of(part)) return ready(kind, hidden, *tokens);
  expect_encoder(kind);
  const auto* image = std::get_if<ImagePart>(&part);
  return image ? read_image(processor, *image, engine_image_size, known)
               : read_clip(processor, std::get<AudioPart>(part), log, known);
}

}  // namespace g3n

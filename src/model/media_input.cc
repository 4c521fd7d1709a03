#include "model/media_input.h"

#include <algorithm>
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

struct Extent {
  int width, height;
};

Extent encoder_extent(const ProcessorConfig& processor, int part_size, int engine_size) {
  const int size = part_size ? part_size : engine_size;
  if (size == 0) return {processor.image_width, processor.image_height};
  check_image_side(size);
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
Pixels resized(const ImagePart& part, Extent extent, const DecodeLimits& limits) {
  if (const auto* given = std::get_if<Pixels>(&part.source)) return resize_image(*given, extent.width, extent.height);
  const auto& file = std::get<MediaBytes>(part.source);
  return resize_image(decode_image(file.bytes, file.name, limits), extent.width, extent.height);
}

ContentHash content_of(const ImagePart& part, Extent extent) {
  if (const auto* file = std::get_if<MediaBytes>(&part.source))
    return hash_of("image file", {extent.width, extent.height}, bytes_of(file->bytes));
  const auto& given = std::get<Pixels>(part.source);
  return hash_of("pixels", {extent.width, extent.height, given.width, given.height}, bytes_of(given.rgb));
}

template <typename F>
void expect_finite(const std::vector<float>& values, const char* name, F place) {
  for (size_t i = 0; i < values.size(); ++i)
    if (!std::isfinite(values[i]))
      throw Error(ErrorCode::kInvalidArgument, std::string(name) + ": expected finite values, got " +
                                                   (std::isnan(values[i]) ? "NaN" : "infinity") + " in " + place(i));
}

MediaInput take_pixels(const PixelValues& given) {
  const int64_t plane = int64_t{given.width} * given.height, size = static_cast<int64_t>(given.chw.size());
  if (given.width < 1 || given.height < 1 || given.width > kMostImageSide || given.height > kMostImageSide)
    throw Error(ErrorCode::kInvalidArgument, "pixel values: expected 1 to " + std::to_string(kMostImageSide) +
                                                 " pixels a side, got " + std::to_string(given.height) + " x " +
                                                 std::to_string(given.width));
  if (size != plane * kChannels)
    throw Error(ErrorCode::kInvalidArgument, "pixel values: expected [3, " + std::to_string(given.height) + ", " +
                                                 std::to_string(given.width) + "], got " + std::to_string(size) +
                                                 " values");
  expect_finite(given.chw, "pixel values",
                [&](size_t i) { return "channel " + std::to_string(static_cast<int64_t>(i) / plane); });
  MediaInput input{.kind = MediaKind::kImage, .height = given.height, .width = given.width};
  input.values.resize(given.chw.size());
  for (int64_t i = 0; i < plane; ++i)
    for (int64_t c = 0; c < kChannels; ++c)
      input.values[static_cast<size_t>(i * kChannels + c)] = given.chw[static_cast<size_t>(c * plane + i)];
  input.content = hash_of("pixel values", {given.width, given.height}, bytes_of(given.chw));
  return input;
}

MediaInput take_frames(const ProcessorConfig& processor, const LogMelFrames& given) {
  const MelConfig& mel = processor.mel;
  const int64_t most = mel_frames(mel, mel.max_samples), size = static_cast<int64_t>(given.values.size());
  const auto fail = [](const std::string& wanted, const std::string& got) {
    throw Error(ErrorCode::kInvalidArgument, "log-mel frames: expected " + wanted + ", got " + got);
  };
  if (given.mels != mel.feature_size || given.frames < 1 || given.frames > most)
    fail("[1 to " + std::to_string(most) + ", " + std::to_string(mel.feature_size) + "]",
         std::string("[") + std::to_string(given.frames) + ", " + std::to_string(given.mels) + "]");
  if (size != given.frames * given.mels)
    fail(std::to_string(given.frames * given.mels) + " values", std::to_string(size));
  if (static_cast<int64_t>(given.valid.size()) != given.frames)
    fail("a mask of " + std::to_string(given.frames) + " frames", std::to_string(given.valid.size()));
  expect_finite(given.values, "log-mel frames",
                [&](size_t i) { return "frame " + std::to_string(static_cast<int64_t>(i) / given.mels); });
  MediaInput input{.kind = MediaKind::kAudio, .values = given.values, .height = given.frames, .width = given.mels};
  for (const uint8_t flag : given.valid) input.valid.push_back(flag != 0);
  ContentHasher hasher;
  hasher.add(std::string_view("log-mel frames"));
  hasher.add(given.frames);
  hasher.add(bytes_of(given.values));
  hasher.add(bytes_of(input.valid));
  input.content = hasher.finish();
  return input;
}

MediaInput read_image(const ProcessorConfig& processor, const ImagePart& part, int engine_size,
                      const DecodeLimits& limits, const KnownMedia& known) {
  if (const auto* values = std::get_if<PixelValues>(&part.source)) {
    MediaInput input = take_pixels(*values);
    if (known) input.ready = known(input.content);
    return input;
  }
  const Extent extent = encoder_extent(processor, part.size, engine_size);
  MediaInput input{.kind = MediaKind::kImage, .height = extent.height, .width = extent.width};
  input.content = content_of(part, extent);
  if (known && (input.ready = known(input.content))) return input;
  const Pixels pixels = resized(part, extent, limits);
  input.values.resize(static_cast<size_t>(input.height * input.width * kChannels));
  to_float(pixels, processor.rescale_factor, input.values.data());
  return input;
}

// padded: samples that the batch it is of has; 0: it comes alone.
ContentHash content_of(const AudioPart& part, int64_t padded) {
  if (const auto* file = std::get_if<MediaBytes>(&part.source))
    return hash_of("audio file", {padded}, bytes_of(file->bytes));
  return hash_of("samples", {padded}, bytes_of(std::get<Samples>(part.source).pcm));
}

// The samples of a clip that comes as a file or as samples, checked.
Samples samples_of(const ProcessorConfig& processor, const AudioPart& part, const ReadRules& rules) {
  const auto* file = std::get_if<MediaBytes>(&part.source);
  const auto* given = std::get_if<Samples>(&part.source);
  if (!file && !given)
    throw Error(ErrorCode::kInvalidArgument, "audio: expected a file or samples, got what an encoder is fed or made");
  Samples samples = file ? decode_audio(file->bytes, file->name, rules.limits, rules.log) : *given;
  check_clip(processor.mel, samples.pcm, file ? file->name : "audio");
  return samples;
}

MediaInput clip_of(const ProcessorConfig& processor, const Samples& samples, int64_t padded) {
  LogMel mel = log_mel(processor.mel, samples.pcm, padded);
  MediaInput input{.kind = MediaKind::kAudio, .height = mel.frames, .width = mel.mels};
  input.values = std::move(mel.values);
  input.valid = std::move(mel.valid);
  return input;
}

MediaInput read_clip(const ProcessorConfig& processor, const AudioPart& part, const ReadRules& rules,
                     const KnownMedia& known) {
  if (const auto* frames = std::get_if<LogMelFrames>(&part.source)) {
    MediaInput input = take_frames(processor, *frames);
    if (known) input.ready = known(input.content);
    return input;
  }
  const ContentHash content = content_of(part, 0);
  MediaInput input{.kind = MediaKind::kAudio};
  if (!known || !(input.ready = known(content))) input = clip_of(processor, samples_of(processor, part, rules), 0);
  input.content = content;
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
                       int engine_image_size, const ReadRules& rules, const KnownMedia& known) {
  const MediaKindFacts& kind = kinds.of(kind_of(part));
  if (const SoftTokens* tokens = soft_tokens_of(part)) return ready(kind, hidden, *tokens);
  expect_encoder(kind);
  const auto* image = std::get_if<ImagePart>(&part);
  return image ? read_image(processor, *image, engine_image_size, rules.limits, known)
               : read_clip(processor, std::get<AudioPart>(part), rules, known);
}

std::vector<MediaInput> read_clips(const ProcessorConfig& processor, const MediaKinds& kinds,
                                   std::span<const AudioPart> clips, const ReadRules& rules) {
  expect_encoder(kinds.of(MediaKind::kAudio));
  std::vector<Samples> all;
  size_t longest = 0;
  for (const AudioPart& clip : clips) {
    all.push_back(samples_of(processor, clip, rules));
    longest = std::max(longest, all.back().pcm.size());
  }
  std::vector<MediaInput> out;
  for (size_t i = 0; i < clips.size(); ++i) {
    out.push_back(clip_of(processor, all[i], static_cast<int64_t>(longest)));
    out.back().content = content_of(clips[i], static_cast<int64_t>(longest));
  }
  return out;
}

std::vector<float> to_chw(View<const float, 3> pixels) {
  const int64_t plane = pixels.dim[0] * pixels.dim[1];
  std::vector<float> chw(static_cast<size_t>(plane * kChannels));
  for (int64_t c = 0; c < kChannels; ++c)
    for (int64_t i = 0; i < plane; ++i) chw[static_cast<size_t>(c * plane + i)] = pixels.data[i * kChannels + c];
  return chw;
}

}  // namespace g3n

// Media by themselves: what an encoder is fed (no weights needed), and what it makes (a prompt of soft tokens alone).
#include "runtime/diagnostics/media_ids.h"
#include "runtime/engine_impl.h"

namespace g3n {

PixelValues Engine::preprocess(const ImagePart& image) const {
  if (std::holds_alternative<SoftTokens>(image.source))
    throw Error(ErrorCode::kInvalidArgument, "image: expected a file, pixels or pixel values, got soft tokens");
  const MediaInput input = impl_->checkpoint->read(image, impl_->image_size);
  return {.width = static_cast<int>(input.width),
          .height = static_cast<int>(input.height),
          .chw = to_chw(input.view().pixels)};
}

std::vector<LogMelFrames> Engine::preprocess(std::span<const AudioPart> clips) const {
  std::vector<LogMelFrames> out;
  for (MediaInput& input : impl_->checkpoint->read(clips))
    out.push_back({.frames = input.height,
                   .mels = input.width,
                   .values = std::move(input.values),
                   .valid = std::move(input.valid)});
  return out;
}

SoftTokens Engine::encode(const MediaPart& medium, const std::atomic<bool>* cancelled) {
  const PreparedPrompt prompt = prepare(ids_of_media(*impl_, {medium}), cancelled);
  return *prompt.soft.at(0).tokens;
}

}  // namespace g3n

// The shortest prompt that holds some media: their soft tokens alone. For those who want the encoders and no text.
#pragma once
#include <vector>

#include "g3n/prompt.h"
#include "runtime/engine_impl.h"

namespace g3n {

inline IdsPrompt ids_of_media(const EngineAccess::Impl& core, std::vector<MediaPart> media) {
  IdsPrompt prompt;
  for (const MediaPart& part : media) {
    const MediaKindFacts& kind = core.checkpoint->kinds().of(kind_of(part));
    prompt.ids.insert(prompt.ids.end(), static_cast<size_t>(kind.soft_tokens), kind.soft_id);
  }
  prompt.media = std::move(media);
  return prompt;
}

}  // namespace g3n

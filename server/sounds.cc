#include "server/sounds.h"

#include <algorithm>
#include <utility>

#include "core/printable.h"
#include "g3n/media.h"
#include "server/service.h"

namespace g3n::server {
namespace {

[[noreturn]] void fail_too_long(const Service& service, double seconds, const std::string& path) {
  throw ApiError(400, "context_length_exceeded",
                 "the maximum context length is " + std::to_string(service.facts().context) +
                     " tokens, a sound of more than " + std::to_string(static_cast<std::int64_t>(seconds)) +
                     " s needs more",
                 path);
}

Samples decode(const Service& service, const MediaBytes& file) {
  const ModelInfo& info = service.engine().info();
  // More than the context holds is not decoded, whatever a small file claims to be.
  const auto clips = service.facts().context / std::max<std::int64_t>(1, info.clip_tokens) + 1;
  const double of_context = static_cast<double>(clips * info.most_clip_samples) / kSampleRateHz;
  const double allowed = service.options.limits.audio_seconds;
  try {
    const std::chrono::duration<double> time = service.options.limits.decode_time;
    return decode_audio(file.bytes, file.name, std::min(of_context, allowed), time.count());
  } catch (const Error& error) {
    if (error.code() == ErrorCode::kInvalidArgument && of_context < allowed)
      fail_too_long(service, of_context, file.name);
    if (error.code() == ErrorCode::kInternal) throw;
    throw ApiError(400, "invalid_media", printable_start(error.what(), 300), file.name);
  }
}

std::vector<Samples> clips_of(Call& call, const MediaBytes& file) {
  const ModelInfo& info = call.service.engine().info();
  Samples sound = decode(call.service, file);
  const auto samples = static_cast<std::int64_t>(sound.pcm.size());
  if (samples < info.least_clip_samples)
    throw ApiError(400, "invalid_media",
                   "expected a sound of at least " + std::to_string(info.least_clip_samples) +
                       " samples at 16 kHz, found " + std::to_string(samples),
                   file.name);
  call.count_bytes(sound.pcm.size() * sizeof(float));
  call.service.metrics.add("g3n_audio_seconds_total", "", static_cast<double>(samples) / kSampleRateHz);
  return split_clips(std::move(sound), info.most_clip_samples);
}

// Appends a part, or the clips that it becomes; how many.
template <class P>
std::size_t append_clips(Call& call, P part, std::vector<P>& out) {
  const auto* sound = std::get_if<AudioPart>(&part);
  const auto* file = sound ? std::get_if<MediaBytes>(&sound->source) : nullptr;
  if (!file) {
    out.push_back(std::move(part));
    return 1;
  }
  std::vector<Samples> clips = clips_of(call, *file);
  for (Samples& clip : clips) out.push_back(AudioPart{std::move(clip)});
  return clips.size();
}

}  // namespace

void decode_sounds(Call& call, ChatPrompt& prompt) {
  for (Message& message : prompt.messages) {
    std::vector<Part> parts;
    for (Part& part : message.parts) append_clips(call, std::move(part), parts);
    message.parts = std::move(parts);
  }
}

std::vector<std::size_t> decode_sounds(Call& call, std::vector<MediaPart>& media) {
  std::vector<MediaPart> parts;
  std::vector<std::size_t> clips;
  for (MediaPart& part : media) {
    const bool is_sound = std::holds_alternative<AudioPart>(part);
    const std::size_t count = append_clips(call, std::move(part), parts);
    if (is_sound) clips.push_back(count);
  }
  media = std::move(parts);
  return clips;
}

}  // namespace g3n::server

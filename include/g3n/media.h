// What files of media may come to; files of sound to samples and clips, without a model: for callers who cut what is
// longer than a clip. Any thread.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "g3n/message.h"

namespace g3n {

constexpr int kSampleRateHz = 16000;

// Larger pictures are refused before anything is decoded.
constexpr std::int64_t kMaxImageSide = 16384;
constexpr std::int64_t kMaxImagePixels = 50'000'000;
// Sound beyond this is not decoded unless asked for.
constexpr double kSoundSeconds = 3600;

// Reads WAV, W64, FLAC, MP3, Ogg (Vorbis, Opus), M4A and AAC, AIFF, AU, CAF, and the sound of MP4, WebM, MKV, AVI, ...,
// recognised by content, mixed to mono at 16 kHz. Decoding stops with an error beyond max_seconds, so memory is
// bounded, and when it has used max_decode_seconds of this thread's processor time (0: no limit). `name` is used in
// messages only. Throws Error: kUnsupported (a format that is only known by name, too slow), kInvalidArgument (too
// long), kBadFile (empty, no sound, cut, corrupt, NaN), kOutOfMemory.
Samples decode_audio(std::span<const std::uint8_t> bytes, const std::string& name, double max_seconds = kSoundSeconds,
                     double max_decode_seconds = 0);

// Consecutive clips of at most clip_samples (ModelInfo::most_clip_samples). A rest of less than 0.1 s behind a whole
// clip is dropped.
std::vector<Samples> split_clips(Samples sound, std::int64_t clip_samples);

}  // namespace g3n

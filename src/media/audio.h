// Sound files, and the sound track of videos, to mono samples at 16 kHz. The format is recognised by content; see
// decode_audio. Sits on FFmpeg and libsoxr, and on a WAV reader of our own.
#pragma once
#include <cstdint>
#include <span>
#include <string>

#include "core/log.h"
#include "g3n/media.h"
#include "media/decode_limits.h"

namespace g3n {

// Reads WAV, W64, FLAC, MP3, Ogg (Vorbis, Opus), M4A and AAC, AIFF, AU, CAF, and the sound of MP4, WebM, MKV, AVI, ...
// As transformers does when it opens a path: channels are averaged, then libsoxr HQ resamples to ceil(n * 16000 / rate)
// samples. Bytes behind the end are no errors. What lies before the cut counts, and log says so, where frames or
// samples just stop: MP3 and AAC streams inside a frame, WAV, W64, AIFF, AU, CAF and AVI before the end that they
// announce, Ogg without its last page. Decoding stops with an error beyond the limits, so memory is bounded. `name` is
// used in messages only. Thread-safe; leaves FFmpeg's log level, which belongs to the process, as it is. Throws Error:
// kUnsupported (a format that is only known by name, too slow), kInvalidArgument (too long), kBadFile (empty, no sound,
// cut, corrupt, NaN).
Samples decode_audio(std::span<const std::uint8_t> bytes, const std::string& name, const DecodeLimits& limits,
                     const Log& log);

}  // namespace g3n

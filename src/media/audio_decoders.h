// The decoders behind decode_audio. Each fills a SampleCollector and throws g3n::Error on damage.
#pragma once
#include <string>

#include "core/log.h"
#include "media/byte_reader.h"
#include "media/sample_collector.h"
#include "media/sniff.h"

namespace g3n::media {

// PCM (8 to 32 bits) and float WAV. False, and nothing collected, when the samples are compressed: then it is FFmpeg's
// turn.
bool decode_wav(Bytes file, const std::string& name, SampleCollector* out);

// Everything else. demuxer: FFmpeg's name of the container; null lets FFmpeg guess among MPEG streams that begin with
// other bytes. is_cut: somebody was warned that the file ends early, an incomplete packet is no damage.
struct Container {
  const char* demuxer;
  bool is_cut;
};
void decode_by_ffmpeg(Bytes file, const Container& container, const std::string& name, SampleCollector* out);

// Whose messages are whose.
struct SoundName {
  const std::string& text;
  const Log& log;
};

// Complete containers only: FFmpeg itself plays a cut file up to the cut. Throw kBadFile; check_ogg warns where only
// the last page is not there.
void check_ogg(Bytes file, const SoundName& name);
void check_mp4(Bytes file, const std::string& name);
void check_matroska(Bytes file, const std::string& name);
// Streams of frames: the file without its last frame, and a warning, if that is cut. kBadFile if no frame is whole.
Bytes whole_mp3_frames(Bytes file, const SoundName& name);
Bytes whole_adts_frames(Bytes file, const SoundName& name);
// Containers that announce where their samples end (WAV, W64, AIFF, AU, CAF, AVI): true, and a warning, if the file
// ends before.
bool warn_if_cut(Bytes file, Format format, const SoundName& name);

// Throws kBadFile: "NAME: the sound is cut or corrupt: WHY".
[[noreturn]] void throw_bad_sound(const std::string& name, const std::string& why);

}  // namespace g3n::media

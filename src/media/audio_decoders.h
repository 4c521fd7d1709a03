// The decoders behind decode_audio. Each fills a SampleCollector and throws g3n::Error on damage.
#pragma once
#include <string>

#include "media/byte_reader.h"
#include "media/sample_collector.h"

namespace g3n::media {

// PCM (8 to 32 bits) and float WAV. False, and nothing collected, when the samples are compressed: then it is FFmpeg's
// turn.
bool decode_wav(Bytes file, const std::string& name, SampleCollector* out);

// Everything else. demuxer: FFmpeg's name of the container; null lets FFmpeg guess among MPEG streams that begin with
// other bytes.
void decode_by_ffmpeg(Bytes file, const char* demuxer, const std::string& name, SampleCollector* out);

// Complete containers only: FFmpeg itself plays a cut file up to the cut. Throw kBadFile.
void check_ogg(Bytes file, const std::string& name);
void check_mp4(Bytes file, const std::string& name);
void check_matroska(Bytes file, const std::string& name);
void check_mp3(Bytes file, const std::string& name);
void check_adts(Bytes file, const std::string& name);

// Throws kBadFile: "NAME: the sound is cut or corrupt: WHY".
[[noreturn]] void throw_bad_sound(const std::string& name, const std::string& why);

}  // namespace g3n::media

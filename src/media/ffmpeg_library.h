// libavformat and libavcodec, opened by the first file that needs them: they bring a hundred libraries with them, and a
// program that reads none of their formats starts 60 ms sooner without, and runs where they are not installed.
#pragma once
#include <string>

extern "C" {
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
}

namespace g3n::media {

#define G3N_AVCODEC_FUNCTIONS(f)                                                                     \
  f(av_new_packet) f(av_packet_alloc) f(av_packet_free) f(av_packet_unref) f(avcodec_alloc_context3) \
      f(avcodec_find_decoder) f(avcodec_free_context) f(avcodec_get_name) f(avcodec_open2)           \
          f(avcodec_parameters_to_context) f(avcodec_receive_frame) f(avcodec_send_packet)
#define G3N_AVFORMAT_FUNCTIONS(f)                                                                                     \
  f(av_find_best_stream) f(av_find_input_format) f(av_probe_input_format2) f(av_read_frame) f(avformat_alloc_context) \
      f(avformat_close_input) f(avformat_find_stream_info) f(avformat_open_input) f(avio_alloc_context)               \
          f(avio_context_free)

// Their functions, as FFmpeg declares them.
struct FFmpeg {
#define G3N_DECLARE(name) decltype(&::name) name = nullptr;
  G3N_AVCODEC_FUNCTIONS(G3N_DECLARE)
  G3N_AVFORMAT_FUNCTIONS(G3N_DECLARE)
#undef G3N_DECLARE
};

// Of the versions that the headers are of. Throws kUnsupported when a library cannot be loaded, and tries again at the
// next call.
const FFmpeg& ffmpeg();
// The same with the name of the file that needs it in the error: what reads one calls this first.
void load_ffmpeg(const std::string& file_name);

// libNAME.so.VERSION, open for the life of the process. Throws kUnsupported, saying which one and why not.
void* open_library(const std::string& name, int version);

}  // namespace g3n::media

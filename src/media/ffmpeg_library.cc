#include "media/ffmpeg_library.h"

#include <dlfcn.h>

#include <string>

#include "g3n/error.h"

namespace g3n::media {

void* open_library(const std::string& name, int version) {
  const std::string file = "lib" + name + ".so." + std::to_string(version);
  if (void* library = ::dlopen(file.c_str(), RTLD_LAZY | RTLD_LOCAL)) return library;
  const char* reason = ::dlerror();
  throw Error(ErrorCode::kUnsupported, "reading this kind of file needs FFmpeg's " + file + " (Debian: lib" + name +
                                           std::to_string(version) +
                                           "), which cannot be loaded: " + (reason ? reason : "no reason was given"));
}

namespace {

template <typename Function>
void find(void* library, const char* name, Function*& function) {
  function = reinterpret_cast<Function*>(::dlsym(library, name));
  if (!function) throw Error(ErrorCode::kUnsupported, std::string("FFmpeg's library has no function ") + name);
}

FFmpeg load() {
  FFmpeg loaded;
  void* library = open_library("avcodec", LIBAVCODEC_VERSION_MAJOR);
#define G3N_FIND(name) find(library, #name, loaded.name);
  G3N_AVCODEC_FUNCTIONS(G3N_FIND)
  library = open_library("avformat", LIBAVFORMAT_VERSION_MAJOR);
  G3N_AVFORMAT_FUNCTIONS(G3N_FIND)
#undef G3N_FIND
  return loaded;
}

}  // namespace

const FFmpeg& ffmpeg() {
  static const FFmpeg loaded = load();
  return loaded;
}

void load_ffmpeg(const std::string& file_name) {
  try {
    ffmpeg();
  } catch (const Error& error) {
    throw Error(error.code(), file_name + ": " + error.what());
  }
}

}  // namespace g3n::media

// Whole files in. What is written goes through core/atomic_file.h.
#pragma once
#include <string>
#include <vector>

#include "g3n/message.h"

namespace g3n::cli {

// Throws Error{kNotFound, kBadFile} naming the path and the system's reason.
std::string read_file(const std::string& path);
MediaBytes read_media(const std::string& path);
std::vector<ImagePart> read_images(const std::vector<std::string>& paths);
std::vector<AudioPart> read_audios(const std::vector<std::string>& paths);

}  // namespace g3n::cli

// Whole files in. What is written goes through core/atomic_file.h.
#pragma once
#include <string>
#include <vector>

#include "g3n/message.h"
#include "options.h"

namespace g3n::cli {

// A file, or what a pipe brings until it ends; of one that brings nothing for a second a line on stderr says that it is
// waited for. Throws Error{kNotFound, kBadFile} naming the path and the system's reason.
std::string read_file(const std::string& path);
std::string read_utf8_file(const std::string& path);  // and Error{kInvalidArgument} if it is not UTF-8
// Whether a path is what stdin is: /dev/stdin, mostly.
bool is_stdin(const std::string& path);
MediaBytes read_media(const std::string& path);
MediaPart read_media_part(const MediaFile& file);
std::vector<MediaPart> read_media_parts(const std::vector<MediaFile>& files);

}  // namespace g3n::cli

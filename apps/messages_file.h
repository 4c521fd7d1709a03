// --messages FILE.json: a conversation, and the files that fill its media placeholders.
#pragma once
#include <string>
#include <vector>

#include "g3n/prompt.h"
#include "options.h"

namespace g3n::cli {

// Image (audio) parts take the images (sounds) among `media` in order; the counts must fit. Without any, parts that
// name a file themselves ("image", "audio" or "path") get that one, looked up beside the messages file. Throws Error
// naming the file.
ChatPrompt load_messages(const std::string& path, const std::vector<MediaFile>& media);

}  // namespace g3n::cli

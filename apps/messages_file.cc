// See messages_file.h.
#include "messages_file.h"

#include <algorithm>
#include <filesystem>

#include "files.h"
#include "g3n/error.h"
#include "json_text.h"

namespace g3n::cli {
namespace {

// The files of one kind of placeholder, in order.
class MediaQueue {
 public:
  MediaQueue(const std::string& messages_path, const std::vector<WrittenMessage>& messages, WrittenPart::Kind kind,
             const std::vector<std::string>& given)
      : files_(given) {
    std::vector<std::string> named;
    for (const WrittenMessage& message : messages)
      for (const WrittenPart& part : message.parts)
        if (part.kind == kind) named.push_back(part.path);
    const bool all_named = std::find(named.begin(), named.end(), "") == named.end();
    if (given.empty() && all_named) {
      const std::filesystem::path folder = std::filesystem::path(messages_path).parent_path();
      for (const std::string& path : named) files_.push_back((folder / path).string());
    } else if (named.size() != given.size()) {
      const bool image = kind == WrittenPart::Kind::kImage;
      throw Error(ErrorCode::kInvalidArgument, messages_path + " has " + std::to_string(named.size()) +
                                                   (image ? " image" : " audio") + " placeholders, found " +
                                                   std::to_string(given.size()) + (image ? " --image" : " --audio"));
    }
  }
  MediaBytes next() { return read_media(files_[next_++]); }

 private:
  std::vector<std::string> files_;
  size_t next_ = 0;
};

}  // namespace

ChatPrompt load_messages(const std::string& path, const std::vector<MediaFile>& media) {
  const std::vector<WrittenMessage> written = parse_messages(read_file(path), path);
  std::vector<std::string> images, audios;
  for (const MediaFile& file : media) (file.kind == MediaFile::Kind::kImage ? images : audios).push_back(file.path);
  MediaQueue image_files(path, written, WrittenPart::Kind::kImage, images);
  MediaQueue audio_files(path, written, WrittenPart::Kind::kAudio, audios);
  ChatPrompt prompt;
  for (const WrittenMessage& message : written) {
    Message& added = prompt.messages.emplace_back(Message{message.role, {}});
    for (const WrittenPart& part : message.parts) {
      if (part.kind == WrittenPart::Kind::kText)
        added.parts.push_back(TextPart{part.text});
      else if (part.kind == WrittenPart::Kind::kImage)
        added.parts.emplace_back(std::in_place_type<ImagePart>, image_files.next());
      else
        added.parts.emplace_back(std::in_place_type<AudioPart>, audio_files.next());
    }
  }
  return prompt;
}

}  // namespace g3n::cli

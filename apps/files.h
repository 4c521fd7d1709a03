// Whole files in, and files out that are either complete or not there.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "g3n/message.h"
#include "options.h"

namespace g3n::cli {

// Throws Error{kNotFound, kBadFile} naming the path and the system's reason.
std::string read_file(const std::string& path);
MediaBytes read_media(const std::string& path);
MediaPart read_media_part(const MediaFile& file);
std::vector<MediaPart> read_media_parts(const std::vector<MediaFile>& files);

// Throws Error{kBadFile} when something else than a regular file is at this place, which a rename would destroy.
void expect_replaceable(const std::string& path);

// A file written beside its place and renamed into it by commit(); without commit nothing is left. The constructor
// throws Error{kNotFound, kBadFile} when the folder is not there or not writable, or when the place is taken by
// something else than a file.
class AtomicFile {
 public:
  explicit AtomicFile(std::string path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  const std::string& beside() const { return beside_; }  // where to write
  void write(std::string_view text);
  void commit();

 private:
  void fail(const char* what) const;

  std::string path_, beside_;
  int fd_ = -1;
};

}  // namespace g3n::cli

// See files.h.
#include "files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "core/utf8.h"
#include "g3n/error.h"

namespace g3n::cli {
namespace {

[[noreturn]] void cannot_read(const std::string& path, int error) {
  throw Error(error == ENOENT || error == ENOTDIR ? ErrorCode::kNotFound : ErrorCode::kBadFile,
              "cannot read " + path + ": " + std::strerror(error));
}

struct Descriptor {
  int fd;
  ~Descriptor() {
    if (fd >= 0) ::close(fd);
  }
};

// Reads to the end into bytes (std::string or std::vector<std::uint8_t>).
template <typename Bytes>
void read_all(const std::string& path, Bytes& bytes) {
  const Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (file.fd < 0) cannot_read(path, errno);
  struct stat info;
  if (::fstat(file.fd, &info) != 0) cannot_read(path, errno);
  size_t used = 0;
  bytes.resize(S_ISREG(info.st_mode) ? static_cast<size_t>(info.st_size) + 1 : size_t{1} << 16);
  for (;;) {
    const ssize_t count = ::read(file.fd, bytes.data() + used, bytes.size() - used);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) cannot_read(path, errno);
    if (count == 0) break;
    used += static_cast<size_t>(count);
    if (used == bytes.size()) bytes.resize(2 * used);
    if (S_ISCHR(info.st_mode) && used > (size_t{1} << 30))
      throw Error(ErrorCode::kBadFile, "cannot read " + path + ": a device without an end");
  }
  bytes.resize(used);
}

}  // namespace

std::string read_file(const std::string& path) {
  std::string text;
  read_all(path, text);
  return text;
}

std::string read_utf8_file(const std::string& path) {
  std::string text = read_file(path);
  expect_utf8(text, path);
  return text;
}

MediaBytes read_media(const std::string& path) {
  MediaBytes media;
  media.name = path;
  read_all(path, media.bytes);
  return media;
}

MediaPart read_media_part(const MediaFile& file) {
  if (file.kind == MediaFile::Kind::kImage) return ImagePart{read_media(file.path)};
  return AudioPart{read_media(file.path)};
}

std::vector<MediaPart> read_media_parts(const std::vector<MediaFile>& files) {
  std::vector<MediaPart> parts;
  for (const MediaFile& file : files) parts.push_back(read_media_part(file));
  return parts;
}

}  // namespace g3n::cli

// See files.h.
#include "files.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "console.h"
#include "core/open_file.h"
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

// Waits until a pipe, a terminal or another device has something to say or ends.
class Patience {
 public:
  Patience(const std::string& path, const struct stat& info) : path_(path), kind_(file_type_name(info.st_mode)) {}
  void wait(int fd) {
    constexpr int kQuietMs = 1000;
    if (poll_for(fd, is_told_ ? -1 : kQuietMs)) return;
    write_stderr("g3n: waiting for " + path_ + ", " + kind_ + " that nothing has come from yet\n");
    is_told_ = true;
    poll_for(fd, -1);
  }

 private:
  static bool poll_for(int fd, int ms) {
    pollfd wait{fd, POLLIN, 0};
    int ready = 0;
    while ((ready = ::poll(&wait, 1, ms)) < 0 && errno == EINTR) {
    }
    return ready != 0;
  }

  const std::string path_, kind_;
  bool is_told_ = false;
};

// Reads to the end into bytes (std::string or std::vector<std::uint8_t>). A pipe is waited for, with a line on stderr.
template <typename Bytes>
void read_all(const std::string& path, Bytes& bytes) {
  constexpr size_t kMostWithoutEnd = size_t{1} << 30;
  // O_NONBLOCK: a named pipe that nobody writes to is opened at once, and waited for with patience.
  const Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK)};
  if (file.fd < 0) cannot_read(path, errno);
  struct stat info;
  if (::fstat(file.fd, &info) != 0) cannot_read(path, errno);
  const bool has_end = S_ISREG(info.st_mode);
  size_t used = 0;
  bytes.resize(has_end ? static_cast<size_t>(info.st_size) + 1 : size_t{1} << 16);
  Patience patience(path, info);
  // Only in front of the first read: behind it, a pipe without writers is at its end, which poll may not say.
  if (!has_end && !S_ISDIR(info.st_mode)) patience.wait(file.fd);
  for (;;) {
    const ssize_t count = ::read(file.fd, bytes.data() + used, bytes.size() - used);
    if (count < 0 && errno == EAGAIN) patience.wait(file.fd);
    if (count < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (count < 0) cannot_read(path, errno);
    if (count == 0) break;
    used += static_cast<size_t>(count);
    if (used == bytes.size()) bytes.resize(2 * used);
    if (!has_end && used > kMostWithoutEnd)
      throw Error(ErrorCode::kBadFile,
                  "cannot read " + path + ": " + file_type_name(info.st_mode) + " with more than 1 GiB and no end");
  }
  bytes.resize(used);
}

}  // namespace

bool is_stdin(const std::string& path) {
  struct stat file {
  }, in{};
  return ::stat(path.c_str(), &file) == 0 && ::fstat(STDIN_FILENO, &in) == 0 && file.st_dev == in.st_dev &&
         file.st_ino == in.st_ino;
}

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

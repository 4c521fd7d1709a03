#include "core/open_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "g3n/error.h"

namespace g3n {

const char* file_type_name(mode_t mode) noexcept {
  switch (mode & S_IFMT) {
    case S_IFREG: return "a regular file";
    case S_IFDIR: return "a folder";
    case S_IFIFO: return "a pipe (FIFO)";
    case S_IFSOCK: return "a socket";
    case S_IFCHR:
    case S_IFBLK: return "a device";
    default: return "something else";
  }
}

void refuse_dead_link(const std::string& path) {
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0 || !S_ISLNK(info.st_mode)) return;
  if (::stat(path.c_str(), &info) == 0 || (errno != ENOENT && errno != ENOTDIR)) return;
  std::error_code ignored;
  throw Error(ErrorCode::kNotFound, path + ": a link to " + std::filesystem::read_symlink(path, ignored).string() +
                                        ", which is not there: fetch the model again");
}

OpenedFile open_regular_file(const std::string& path) {
  const auto expect_regular = [&path](const struct stat& info) {
    if (!S_ISREG(info.st_mode))
      throw Error(ErrorCode::kInvalidArgument,
                  path + ": expected a regular file, found " + file_type_name(info.st_mode));
  };
  const auto fail = [&path](int reason) {
    throw Error(reason == ENOENT || reason == ENOTDIR ? ErrorCode::kNotFound : ErrorCode::kInvalidArgument,
                path + ": cannot open: " + std::strerror(reason));
  };
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) fail(errno);
  expect_regular(info);  // before open: opening a device may already do something
  // O_NONBLOCK: should a pipe have taken its place since.
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
  if (fd < 0) fail(errno);
  try {
    if (::fstat(fd, &info) != 0) fail(errno);
    expect_regular(info);
  } catch (...) {
    ::close(fd);
    throw;
  }
  return {fd, static_cast<int64_t>(info.st_size)};
}

}  // namespace g3n

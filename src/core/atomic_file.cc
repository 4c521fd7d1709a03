#include "core/atomic_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "g3n/error.h"

namespace g3n {

AtomicFile::AtomicFile(const std::string& path) : path_(path), temporary_(path + ".tmp-" + std::to_string(::getpid())) {
  std::error_code ignored;
  const std::filesystem::path folder = std::filesystem::path(path).parent_path();
  if (!folder.empty() && !std::filesystem::is_directory(folder, ignored))
    throw Error(ErrorCode::kNotFound, folder.string() + ": no such folder, for " + path);
  if (std::filesystem::is_directory(path, ignored))
    throw Error(ErrorCode::kInvalidArgument, path + ": expected a file name, found a folder");
  fd_ = ::open(temporary_.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (fd_ < 0) throw Error(ErrorCode::kInvalidArgument, path + ": cannot create: " + std::strerror(errno));
}

AtomicFile::~AtomicFile() {
  if (fd_ < 0) return;
  ::close(fd_);
  ::unlink(temporary_.c_str());
}

void AtomicFile::fail() const { throw Error(ErrorCode::kBadFile, path_ + ": cannot write: " + std::strerror(errno)); }

void AtomicFile::write(int64_t offset, std::span<const std::byte> bytes) const {
  while (!bytes.empty()) {
    const ssize_t n = ::pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) fail();
    bytes = bytes.subspan(static_cast<size_t>(n)), offset += n;
  }
}

void AtomicFile::read(int64_t offset, std::span<std::byte> bytes) const {
  while (!bytes.empty()) {
    const ssize_t n = ::pread(fd_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) fail();
    bytes = bytes.subspan(static_cast<size_t>(n)), offset += n;
  }
}

void AtomicFile::resize(int64_t bytes) const {
  if (::ftruncate(fd_, static_cast<off_t>(bytes)) != 0) fail();
}

void AtomicFile::finish() {
  if (fd_ < 0) throw Error(ErrorCode::kInternal, path_ + ": finished twice");
  const int fd = fd_;
  fd_ = -1;
  if (::close(fd) == 0 && ::rename(temporary_.c_str(), path_.c_str()) == 0) return;
  const int reason = errno;
  ::unlink(temporary_.c_str());
  errno = reason;
  fail();
}

void write_file_atomically(const std::string& path, const std::string& text) {
  AtomicFile file(path);
  file.write(0, text);
  file.finish();
}

}  // namespace g3n

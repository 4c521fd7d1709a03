#include "core/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "g3n/error.h"

namespace g3n {

MappedFile::MappedFile(const std::string& path) : path_(path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    const int reason = errno;
    throw Error(reason == ENOENT ? ErrorCode::kNotFound : ErrorCode::kInvalidArgument,
                path + ": cannot open: " + std::strerror(reason));
  }
  struct stat info {};
  if (::fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
    ::close(fd);
    throw Error(ErrorCode::kInvalidArgument,
                path + ": expected a regular file" + (S_ISDIR(info.st_mode) ? ", found a folder" : ""));
  }
  size_ = static_cast<size_t>(info.st_size);
  if (size_ == 0) {
    ::close(fd);
    throw Error(ErrorCode::kBadFile, path + ": the file is empty");
  }
  void* data = ::mmap(nullptr, size_, PROT_READ, MAP_SHARED, fd, 0);
  if (data == MAP_FAILED) {
    const int reason = errno;
    ::close(fd);
    throw Error(ErrorCode::kOutOfMemory,
                path + ": cannot map " + std::to_string(size_) + " bytes: " + std::strerror(reason));
  }
  data_ = static_cast<const std::byte*>(data);
  fd_ = fd;
}

MappedFile::~MappedFile() {
  ::munmap(const_cast<std::byte*>(data_), size_);
  ::close(fd_);
}

namespace {
void advise(const std::byte* data, size_t total, size_t offset, size_t size, int advice) {
  constexpr size_t kPage = 4096;
  if (offset >= total) return;
  const size_t end = offset + size < total ? offset + size : total;
  const size_t begin = advice == MADV_DONTNEED ? (offset + kPage - 1) / kPage * kPage : offset / kPage * kPage;
  if (begin < end) ::madvise(const_cast<std::byte*>(data) + begin, end - begin, advice);
}
}  // namespace

void MappedFile::will_need(size_t offset, size_t size) const { advise(data_, size_, offset, size, MADV_WILLNEED); }
void MappedFile::drop(size_t offset, size_t size) const {
  advise(data_, size_, offset, size / 4096 * 4096, MADV_DONTNEED);
}

}  // namespace g3n

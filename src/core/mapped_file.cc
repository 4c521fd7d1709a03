#include "core/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <mutex>

#include "core/open_file.h"
#include "g3n/error.h"

namespace g3n {

// Entries form a list that only grows; those of closed files are used again. A signal handler may walk it at any time.
struct MappedRange {
  std::atomic<uintptr_t> begin{0}, end{0};  // addresses; end 0: nothing is mapped
  std::atomic<int> fd{-1};
  std::atomic<bool> damaged{false};
  bool in_use = false;  // this and path: under the table's mutex
  std::string path;
  MappedRange* next = nullptr;
};

namespace {

static_assert(std::atomic<uintptr_t>::is_always_lock_free && std::atomic<int>::is_always_lock_free &&
              std::atomic<bool>::is_always_lock_free && std::atomic<MappedRange*>::is_always_lock_free);

std::mutex& table_mutex() {
  static std::mutex mutex;
  return mutex;
}
std::atomic<MappedRange*> first_range{nullptr};
std::atomic<int> damaged_files{0};

uintptr_t page_bytes() noexcept { return static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE)); }
uintptr_t page_down(uintptr_t value) noexcept { return value / page_bytes() * page_bytes(); }
uintptr_t page_up(uintptr_t value) noexcept { return page_down(value + page_bytes() - 1); }

MappedRange* add_range(const std::string& path, const std::byte* data, size_t size, int fd) {
  const std::lock_guard lock(table_mutex());
  MappedRange* range = first_range.load();
  while (range && range->in_use) range = range->next;
  if (!range) {
    range = new MappedRange;
    range->next = first_range.load();
    first_range.store(range);
  }
  range->path = path;
  range->in_use = true;
  range->damaged = false;
  range->fd = fd;
  range->begin = reinterpret_cast<uintptr_t>(data);
  range->end = page_up(reinterpret_cast<uintptr_t>(data) + size);
  return range;
}

void remove_range(MappedRange* range) noexcept {
  const std::lock_guard lock(table_mutex());
  range->end = 0;
  range->in_use = false;
  if (range->damaged.exchange(false)) --damaged_files;
}

}  // namespace

MappedFile::MappedFile(const std::string& path) : path_(path) {
  const OpenedFile file = open_regular_file(path);
  size_ = static_cast<size_t>(file.size);
  if (size_ == 0) {
    ::close(file.fd);
    throw Error(ErrorCode::kBadFile, path + ": the file is empty");
  }
  void* data = ::mmap(nullptr, size_, PROT_READ, MAP_SHARED, file.fd, 0);
  if (data == MAP_FAILED) {
    const int reason = errno;
    ::close(file.fd);
    throw Error(ErrorCode::kOutOfMemory,
                path + ": cannot map " + std::to_string(size_) + " bytes: " + std::strerror(reason));
  }
  data_ = static_cast<const std::byte*>(data);
  fd_ = file.fd;
  try {
    entry_ = add_range(path_, data_, size_, fd_);
  } catch (...) {
    ::munmap(data, size_);
    ::close(fd_);
    throw;
  }
}

MappedFile::~MappedFile() {
  remove_range(entry_);
  ::munmap(const_cast<std::byte*>(data_), size_);
  ::close(fd_);
}

bool MappedFile::damaged() const noexcept { return entry_->damaged.load(); }

bool replace_lost_page(const void* address) noexcept {
  const int saved = errno;
  const auto at = reinterpret_cast<uintptr_t>(address);
  for (MappedRange* range = first_range.load(); range; range = range->next) {
    const uintptr_t begin = range->begin.load(), end = range->end.load();
    if (at < begin || at >= end) continue;
    // All that lies behind the file's present end at once, or else one page that the disk did not give.
    uintptr_t lost = page_down(at), lost_end = lost + page_bytes();
    struct stat info {};
    if (::fstat(range->fd.load(), &info) == 0) {
      const uintptr_t left = page_up(begin + static_cast<uintptr_t>(info.st_size));
      if (left <= lost) lost = left, lost_end = end;
    }
    // Marked first: who reads a zero can know.
    if (!range->damaged.exchange(true)) ++damaged_files;
    // The kernel itself: this is a signal handler. (ThreadSanitizer also takes mmap() for a write to pages that other
    // threads read, though these change at once as a whole.)
    const long zeros =
        ::syscall(SYS_mmap, lost, lost_end - lost, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0L);
    errno = saved;
    return zeros != -1;
  }
  errno = saved;
  return false;
}

void throw_if_damaged() {
  if (damaged_files.load() == 0) return;
  std::string paths;
  {
    const std::lock_guard lock(table_mutex());
    for (const MappedRange* range = first_range.load(); range; range = range->next)
      if (range->in_use && range->damaged) paths += (paths.empty() ? "" : ", ") + range->path;
  }
  if (!paths.empty())
    throw Error(ErrorCode::kBadFile, paths + ": the file was cut or became unreadable while it was in use");
}

namespace {
void advise(const std::byte* data, size_t total, size_t offset, size_t size, int advice) {
  if (offset >= total) return;
  const size_t end = offset + size < total ? offset + size : total;
  const size_t begin = advice == MADV_DONTNEED ? page_up(offset) : page_down(offset);
  if (begin < end) ::madvise(const_cast<std::byte*>(data) + begin, end - begin, advice);
}
}  // namespace

void MappedFile::will_need(size_t offset, size_t size) const { advise(data_, size_, offset, size, MADV_WILLNEED); }
void MappedFile::drop(size_t offset, size_t size) const {
  advise(data_, size_, offset, page_down(size), MADV_DONTNEED);
}

}  // namespace g3n

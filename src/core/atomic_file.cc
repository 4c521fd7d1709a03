#include "core/atomic_file.h"

#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include "core/open_file.h"
#include "g3n/error.h"

namespace g3n {
namespace {

namespace fs = std::filesystem;

// Unfinished files, as a signal handler can read them. More than these at a time are only not removed by it.
struct UnfinishedFile {
  enum State : int { kFree, kBeingSet, kSet };
  std::atomic<int> state{kFree};
  pid_t process = 0;  // a forked child must not remove its parent's file
  char path[PATH_MAX];
};
std::array<UnfinishedFile, 32> unfinished_files;
static_assert(std::atomic<int>::is_always_lock_free);

// The slot, or -1.
int register_unfinished(const std::string& path) noexcept {
  if (path.size() >= sizeof UnfinishedFile::path) return -1;
  for (size_t i = 0; i < unfinished_files.size(); ++i) {
    UnfinishedFile& file = unfinished_files[i];
    int expected = UnfinishedFile::kFree;
    if (!file.state.compare_exchange_strong(expected, UnfinishedFile::kBeingSet)) continue;
    file.process = ::getpid();
    std::memcpy(file.path, path.c_str(), path.size() + 1);
    file.state = UnfinishedFile::kSet;
    return static_cast<int>(i);
  }
  return -1;
}

void forget_unfinished(int slot) noexcept {
  if (slot >= 0) unfinished_files[static_cast<size_t>(slot)].state = UnfinishedFile::kFree;
}

bool is_same(const struct stat& a, const struct stat& b) { return a.st_dev == b.st_dev && a.st_ino == b.st_ino; }

// Where a write to `path` ends up: absolute, and behind every symbolic link, also one that points to nothing yet.
fs::path behind_links(const std::string& path) {
  constexpr int kMostLinks = 40;
  std::error_code reason;
  fs::path target = fs::absolute(path, reason);
  for (int links = 0; !reason && fs::is_symlink(fs::symlink_status(target, reason)); ++links) {
    if (links == kMostLinks) reason = std::make_error_code(std::errc::too_many_symbolic_link_levels);
    if (!reason) target = target.parent_path() / fs::read_symlink(target, reason);
  }
  if (reason && reason != std::errc::no_such_file_or_directory && reason != std::errc::not_a_directory)
    throw Error(ErrorCode::kInvalidArgument, path + ": cannot write: " + reason.message());
  return target;
}

// Is `file` one of the sources, or lies in one that is a folder? The source that it is; else empty.
std::string source_of(const struct stat& file, const std::vector<std::string>& sources) {
  for (const std::string& source : sources) {
    struct stat info {};
    if (::stat(source.c_str(), &info) != 0) continue;
    if (is_same(file, info)) return source;
    if (!S_ISDIR(info.st_mode)) continue;
    std::error_code reason;
    for (fs::directory_iterator it(source, reason), end; !reason && it != end; it.increment(reason))
      if (::stat(it->path().c_str(), &info) == 0 && is_same(file, info)) return it->path().string();
  }
  return "";
}

// "standard output" where this file is what that stream writes to: replaced, it would lose the name that what comes
// after is looked for under. Else null.
const char* stream_into(const struct stat& file) {
  struct stat info {};
  if (::fstat(STDOUT_FILENO, &info) == 0 && is_same(file, info)) return "standard output";
  if (::fstat(STDERR_FILENO, &info) == 0 && is_same(file, info)) return "standard error";
  return nullptr;
}

void expect_regular(const std::string& path, const struct stat& info) {
  if (!S_ISREG(info.st_mode))
    throw Error(ErrorCode::kInvalidArgument,
                path + ": cannot write: it is not a regular file but " + file_type_name(info.st_mode));
}

// Links of /proc, as /dev/stdout is one, lead to what is open and may have no name: a pipe, a terminal, a file that was
// removed.
void refuse_nameless(const std::string& path, const fs::path& target) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0 || S_ISDIR(info.st_mode)) return;
  expect_regular(path, info);
  if (::stat(target.c_str(), &info) != 0)
    throw Error(ErrorCode::kInvalidArgument, path + ": cannot write: an open file that no name leads to");
}

// Checks the place behind the links; true, and its facts, when a file is there to be replaced.
bool check_place(const std::string& path, const fs::path& target, const WriteRules& rules, struct stat* info) {
  const auto refuse = [&path](ErrorCode code, const std::string& why) { throw Error(code, path + ": " + why); };
  if (path.empty()) refuse(ErrorCode::kInvalidArgument, "expected a file name, got nothing");
  const fs::path folder = target.parent_path();
  std::error_code ignored;
  if (!fs::is_directory(folder, ignored))
    throw Error(ErrorCode::kNotFound, folder.string() + ": no such folder, for " + path);
  const bool is_there = ::stat(target.c_str(), info) == 0;
  if (!target.has_filename() || (is_there && S_ISDIR(info->st_mode)))
    refuse(ErrorCode::kInvalidArgument, "expected a file name, found a folder");
  if (!is_there) return false;
  expect_regular(path, *info);
  if (const char* stream = stream_into(*info))
    refuse(ErrorCode::kInvalidArgument, std::string("cannot write: ") + stream + " goes into this file");
  if (const std::string source = source_of(*info, rules.sources); !source.empty())
    refuse(ErrorCode::kInvalidArgument, "cannot write: it is a file of the model that is being read (" + source + ")");
  if (!rules.replace) refuse(ErrorCode::kInvalidArgument, "already there");
  return true;
}

// "folder/NAME.tmp-0123456789abcdef"; a long NAME is shortened to what a file system takes.
std::string temporary_name(const fs::path& target) {
  constexpr size_t kMostOfName = 200;
  uint64_t random = 0;
  if (::getrandom(&random, sizeof random, 0) != static_cast<ssize_t>(sizeof random))
    random = static_cast<uint64_t>(::getpid()) << 32 ^ reinterpret_cast<uintptr_t>(&random);
  char suffix[32];
  std::snprintf(suffix, sizeof suffix, ".tmp-%016llx", static_cast<unsigned long long>(random));
  return (target.parent_path() / (target.filename().string().substr(0, kMostOfName) + suffix)).string();
}

// A rename lasts when its folder is on disk. Folders that cannot be opened or synced have no better way.
bool sync_folder(const std::string& folder) {
  const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return true;
  const bool good = ::fsync(fd) == 0 || errno == EINVAL || errno == ENOTSUP || errno == ENOSYS;
  const int reason = errno;
  ::close(fd);
  errno = reason;
  return good;
}

}  // namespace

void check_target(const std::string& path, const WriteRules& rules) {
  struct stat info {};
  const fs::path target = behind_links(path);
  refuse_nameless(path, target);
  check_place(path, target, rules, &info);
}

AtomicFile::AtomicFile(const std::string& path, const WriteRules& rules) : path_(path), rules_(rules) {
  const fs::path target = behind_links(path);
  target_ = target.string();
  refuse_nameless(path, target);
  struct stat info {};
  const bool is_replacement = check_place(path, target, rules, &info);
  create(is_replacement);
  if (!is_replacement) return;
  // The owner first: a change of owner takes permission bits away.
  const bool is_owner_kept = ::fchown(fd_, info.st_uid, info.st_gid) == 0;
  const mode_t mode = info.st_mode & (is_owner_kept ? 07777 : 0777);
  if (::fchmod(fd_, mode) != 0) {
  }  // file systems without permissions
}

void AtomicFile::create(bool is_replacement) {
  constexpr int kTries = 100;
  // Nobody reads a replacement before it has the permissions of what it replaces.
  const mode_t mode = is_replacement ? 0600 : 0666;
  int reason = EEXIST;
  for (int i = 0; i < kTries && reason == EEXIST; ++i) {
    temporary_ = temporary_name(target_);
    slot_ = register_unfinished(temporary_);
    fd_ = ::open(temporary_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
    if (fd_ >= 0) return;
    reason = errno;
    forget_unfinished(slot_);
  }
  throw Error(ErrorCode::kInvalidArgument, path_ + ": cannot create: " + std::strerror(reason));
}

AtomicFile::~AtomicFile() { close(); }

void AtomicFile::close() noexcept {
  if (fd_ < 0) return;
  ::close(fd_);
  fd_ = -1;
  ::unlink(temporary_.c_str());
  forget_unfinished(slot_);
}

void AtomicFile::fail(int reason) const {
  throw Error(ErrorCode::kBadFile, path_ + ": cannot write: " + std::strerror(reason));
}

void AtomicFile::write(int64_t offset, std::span<const std::byte> bytes) const {
  while (!bytes.empty()) {
    const ssize_t n = ::pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) fail(n < 0 ? errno : ENOSPC);
    bytes = bytes.subspan(static_cast<size_t>(n)), offset += n;
  }
}

void AtomicFile::read(int64_t offset, std::span<std::byte> bytes) const {
  while (!bytes.empty()) {
    const ssize_t n = ::pread(fd_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n == 0) throw Error(ErrorCode::kBadFile, path_ + ": cannot read back what was written: it was cut");
    if (n < 0) fail(errno);
    bytes = bytes.subspan(static_cast<size_t>(n)), offset += n;
  }
}

void AtomicFile::resize(int64_t bytes) const {
  while (::ftruncate(fd_, static_cast<off_t>(bytes)) != 0)
    if (errno != EINTR) fail(errno);
}

void AtomicFile::give_name() const {
  if (!rules_.replace) {
    if (::renameat2(AT_FDCWD, temporary_.c_str(), AT_FDCWD, target_.c_str(), RENAME_NOREPLACE) == 0) return;
    if (errno == EEXIST) throw Error(ErrorCode::kInvalidArgument, path_ + ": already there");
    if (errno != EINVAL && errno != ENOSYS) fail(errno);  // else a file system that cannot do it in one step
  }
  struct stat info {};
  check_place(path_, target_, rules_, &info);
  if (::rename(temporary_.c_str(), target_.c_str()) != 0) fail(errno);
}

void AtomicFile::finish() {
  if (fd_ < 0) throw Error(ErrorCode::kInternal, path_ + ": finished twice");
  try {
    if (::fsync(fd_) != 0) fail(errno);
    give_name();
  } catch (...) {
    close();
    throw;
  }
  forget_unfinished(slot_);
  const int fd = fd_;
  fd_ = -1;
  if (::close(fd) != 0 && errno != EINTR) fail(errno);
  if (!sync_folder(fs::path(target_).parent_path().string())) fail(errno);
}

void write_file_atomically(const std::string& path, const std::string& text, const WriteRules& rules) {
  AtomicFile file(path, rules);
  file.write(0, text);
  file.finish();
}

void remove_unfinished_files() noexcept {
  const int saved = errno;
  for (UnfinishedFile& file : unfinished_files)
    if (file.state.load() == UnfinishedFile::kSet && file.process == ::getpid()) ::unlink(file.path);
  errno = saved;
}

}  // namespace g3n

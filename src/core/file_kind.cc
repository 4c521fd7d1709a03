#include "core/file_kind.h"

#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "core/open_file.h"
#include "g3n/error.h"

namespace g3n {
namespace {

constexpr std::string_view kLfs = "version https://git-lfs";
constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";

std::string_view as_text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// An open file, closed at the end of its life.
class OpenFile {
 public:
  explicit OpenFile(const std::string& path) : OpenFile(path, open_regular_file(path)) {}
  ~OpenFile() { ::close(fd_); }
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;

  size_t size() const { return size_; }
  // The first `count` bytes, or as many as there are.
  std::string read(size_t count) const {
    std::string out(count, '\0');
    size_t done = 0;
    while (done < count) {
      const ssize_t n = ::pread(fd_, out.data() + done, count - done, static_cast<off_t>(done));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) throw Error(ErrorCode::kInvalidArgument, path_ + ": cannot read: " + std::strerror(errno));
      if (n == 0) break;
      done += static_cast<size_t>(n);
    }
    out.resize(done);
    return out;
  }

 private:
  OpenFile(const std::string& path, const OpenedFile& file)
      : path_(path), fd_(file.fd), size_(static_cast<size_t>(file.size)) {}

  std::string path_;
  int fd_;
  size_t size_;
};

}  // namespace

FileKind file_kind(std::span<const std::byte> first_bytes) {
  const std::string_view text = as_text(first_bytes);
  if (text.empty()) return FileKind::kEmpty;
  if (text.starts_with("GGUF")) return FileKind::kGguf;
  if (text.starts_with("PK\x03\x04")) return FileKind::kZip;
  if (text.starts_with(kLfs)) return FileKind::kLfsPointer;
  if (text.size() >= 2 && text[0] == '\x80' && text[1] >= 2 && text[1] <= 5) return FileKind::kPickle;
  if (text.size() >= 9 && text[8] == '{') {
    uint64_t header;
    std::memcpy(&header, text.data(), 8);
    if (header >= 2 && header <= (uint64_t{1} << 40)) return FileKind::kSafetensors;
  }
  const size_t first = text.find_first_not_of(" \t\r\n", text.starts_with(kByteOrderMark) ? kByteOrderMark.size() : 0);
  if (first != std::string_view::npos && (text[first] == '{' || text[first] == '[')) return FileKind::kJson;
  return FileKind::kUnknown;
}

FileKind file_kind_of(const std::string& path) {
  const std::string head = OpenFile(path).read(64);
  return file_kind(std::as_bytes(std::span(head)));
}

void refuse_lfs_pointer(std::span<const std::byte> bytes, const std::string& path) {
  if (as_text(bytes).starts_with(kLfs))
    throw Error(ErrorCode::kBadFile, path +
                                         ": a git-lfs pointer, not the file itself: expected the contents, fetch them "
                                         "with `git lfs pull` in that folder");
}

std::string read_text_file(const std::string& path, size_t limit_bytes) {
  const OpenFile file(path);
  if (file.size() > limit_bytes)
    throw Error(ErrorCode::kBadFile, path + ": expected at most " + std::to_string(limit_bytes) + " bytes, found " +
                                         std::to_string(file.size()));
  std::string text = file.read(file.size());
  refuse_lfs_pointer(std::as_bytes(std::span(text)), path);
  if (text.starts_with(kByteOrderMark)) text.erase(0, kByteOrderMark.size());
  return text;
}

}  // namespace g3n

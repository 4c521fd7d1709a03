// A file mapped read-only. Pages come from disk when touched; nothing is copied.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace g3n {

// A place in a file, for reads past a mapping; the descriptor is open as long as the MappedFile. fd -1: there is no
// file.
struct FileRange {
  int fd = -1;
  int64_t offset = 0;
};

class MappedFile {
 public:
  // Throws kNotFound (no such file), kInvalidArgument (a folder, unreadable) or kBadFile (empty), naming the path.
  explicit MappedFile(const std::string& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  const std::string& path() const { return path_; }
  std::span<const std::byte> bytes() const { return {data_, size_}; }
  // Of a byte of the mapping.
  FileRange range(const std::byte* data) const { return {fd_, data - data_}; }

  // Hints: pages of this range will be read soon in order / are not needed again.
  void will_need(size_t offset, size_t size) const;
  void drop(size_t offset, size_t size) const;

 private:
  std::string path_;
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
  int fd_ = -1;
};

}  // namespace g3n

// A file mapped read-only. Pages come from disk when touched; nothing is copied. A page that is no longer there (the
// file was cut, the disk failed) makes the system send SIGBUS: a program that gives this signal's address to
// replace_lost_page() goes on with zeros, and learns of it from damaged().
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace g3n {

struct MappedRange;  // an entry of the table that the signal handler reads

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
  // True once a page was lost: what was read since may be zeros.
  bool damaged() const noexcept;
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
  MappedRange* entry_ = nullptr;
};

// For a program's handler of SIGBUS, with si_addr: async-signal-safe. If the address lies in a mapped file, puts zeros
// in place of what was lost, marks the file as damaged and returns true; false: the signal means something else.
bool replace_lost_page(const void* address) noexcept;

// Throws Error{kBadFile} naming the files when any MappedFile is damaged. One load of an atomic when none is: to be
// asked after each piece of work, whose results are not to be trusted then.
void throw_if_damaged();

}  // namespace g3n

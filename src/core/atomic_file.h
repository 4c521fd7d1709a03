// AtomicFile: a file written beside its final name (NAME.tmp-PID) and renamed only when complete, so that nobody ever
// sees half of it.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace g3n {

class AtomicFile {
 public:
  // Opens the temporary file at once. Error{kNotFound} if the folder is not there, kInvalidArgument if it cannot be
  // written.
  explicit AtomicFile(const std::string& path);
  // Removes the temporary file unless finish() was reached.
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  const std::string& path() const { return path_; }

  // Any number of threads, in any order; what lies between written parts is zero. Error{kBadFile} when the disk
  // refuses.
  void write(int64_t offset, std::span<const std::byte> bytes) const;
  void write(int64_t offset, const std::string& text) const { write(offset, std::as_bytes(std::span(text))); }
  // What was written before.
  void read(int64_t offset, std::span<std::byte> bytes) const;
  void resize(int64_t bytes) const;

  // Gives the file its name. Error{kInternal} on a second call.
  void finish();

 private:
  [[noreturn]] void fail() const;

  std::string path_, temporary_;
  int fd_ = -1;
};

// Writes a small text file this way.
void write_file_atomically(const std::string& path, const std::string& text);

}  // namespace g3n

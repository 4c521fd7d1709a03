// AtomicFile: the one way in which g3n writes a file. It is written beside its place under a name of its own
// (NAME.tmp-RANDOM), brought to disk and renamed, so that nobody ever sees half of it, also after a power cut.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace g3n {

struct WriteRules {
  bool replace = true;  // false: a file that is there already is an error
  // Files, and folders for every file in them, that must not be replaced, under whatever name or link.
  std::vector<std::string> sources = {};
};

// What AtomicFile's constructor would throw, asked before any work. kNotFound: no such folder. kInvalidArgument: the
// place is taken by what is no regular file (folder, pipe, device, socket), by a file that the rules protect, or by the
// one that standard output or standard error goes into.
void check_target(const std::string& path, const WriteRules& rules = {});

class AtomicFile {
 public:
  // Opens the temporary file at once. A symbolic link at `path` stays: the file it points to is written. A replaced
  // file hands its permissions (and owner, where that is allowed) on. Errors as check_target, and kInvalidArgument if
  // the folder cannot be written.
  explicit AtomicFile(const std::string& path, const WriteRules& rules = {});
  // Removes the temporary file unless finish() was reached.
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  const std::string& path() const { return path_; }

  // Any number of threads, in any order; what lies between written parts is zero. Error{kBadFile} when the disk
  // refuses. A file size limit is such a refusal only where the process ignores SIGXFSZ.
  void write(int64_t offset, std::span<const std::byte> bytes) const;
  void write(int64_t offset, const std::string& text) const { write(offset, std::as_bytes(std::span(text))); }
  // What was written before.
  void read(int64_t offset, std::span<std::byte> bytes) const;
  void resize(int64_t bytes) const;

  // Brings the content to disk, then gives the file its name, then brings the name to disk. Error{kBadFile} when the
  // disk refuses, kInvalidArgument when the rules forbid to replace what appeared meanwhile, kInternal on a second
  // call; the temporary file is gone in any case.
  void finish();

 private:
  void create(bool is_replacement);
  void give_name() const;
  void close() noexcept;
  [[noreturn]] void fail(int reason) const;

  std::string path_;       // as given
  std::string target_;     // absolute, links followed
  std::string temporary_;  // beside target_
  WriteRules rules_;
  int fd_ = -1;
  int slot_ = -1;  // in the table of unfinished files
};

// Writes a small text file this way.
void write_file_atomically(const std::string& path, const std::string& text, const WriteRules& rules = {});

// Removes the temporary files of every AtomicFile of this process that is not finished. For a program's handler of
// signals that end it: async-signal-safe, and nothing else may be done with an AtomicFile afterwards.
void remove_unfinished_files() noexcept;

}  // namespace g3n

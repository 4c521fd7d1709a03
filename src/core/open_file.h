// Opening files for reading: regular files only, and never a wait for the other end of a pipe.
#pragma once
#include <sys/types.h>

#include <cstdint>
#include <string>

namespace g3n {

// "a folder", "a pipe (FIFO)", "a device", "a socket", "a regular file": what st_mode says, for messages.
const char* file_type_name(mode_t mode) noexcept;

struct OpenedFile {
  int fd;  // the caller closes it
  int64_t size;
};

// Throws kNotFound (no such file) or kInvalidArgument (unreadable, or no regular file), naming the path.
OpenedFile open_regular_file(const std::string& path);

// Throws kNotFound, naming both, if path is a symbolic link to what is not there: a hub cache that was cleaned up.
void refuse_dead_link(const std::string& path);

}  // namespace g3n

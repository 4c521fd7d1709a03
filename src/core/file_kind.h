// What a file is, by its first bytes, never by its name; and short descriptions for messages.
#pragma once
#include <cstddef>
#include <span>
#include <string>

namespace g3n {

enum class FileKind { kUnknown, kEmpty, kGguf, kZip, kPickle, kLfsPointer, kSafetensors, kJson };

FileKind file_kind(std::span<const std::byte> first_bytes);
// Reads the first bytes of a file. Error as MappedFile's when it cannot be opened.
FileKind file_kind_of(const std::string& path);

// Error{kBadFile} naming git-lfs if the bytes are a git-lfs pointer; else returns.
void refuse_lfs_pointer(std::span<const std::byte> bytes, const std::string& path);

// A whole small file. Errors: kNotFound, kInvalidArgument (a folder, unreadable), kBadFile (larger than limit_bytes, or
// a git-lfs pointer). A UTF-8 byte order mark is skipped.
std::string read_text_file(const std::string& path, size_t limit_bytes = size_t{64} << 20);

}  // namespace g3n

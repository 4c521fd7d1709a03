#include "formats/safetensors_writer.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include "formats/safetensors.h"
#include "g3n/error.h"

namespace g3n {
namespace {

std::string json_string(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      char escape[8];
      std::snprintf(escape, sizeof escape, "\\u%04x", static_cast<unsigned>(c));
      out += escape;
    } else {
      out += c;
    }
  }
  return out + "\"";
}

[[noreturn]] void fail_write(const std::string& path) { throw Error(ErrorCode::kBadFile, path + ": cannot write: " + std::strerror(errno)); }

void write_at(int fd, const std::string& path, int64_t offset, const std::byte* data, size_t size) {
  while (size > 0) {
    const ssize_t n = ::pwrite(fd, data, size, static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) fail_write(path);
    data += n, offset += n, size -= static_cast<size_t>(n);
  }
}

// Opens PATH.tmp-PID; `temporary` is its name.
int open_beside(const std::string& path, std::string& temporary) {
  std::error_code ignored;
  const std::filesystem::path folder = std::filesystem::path(path).parent_path();
  if (!folder.empty() && !std::filesystem::is_directory(folder, ignored)) throw Error(ErrorCode::kNotFound, folder.string() + ": no such folder, for " + path);
  if (std::filesystem::is_directory(path, ignored)) throw Error(ErrorCode::kInvalidArgument, path + ": expected a file name, found a folder");
  temporary = path + ".tmp-" + std::to_string(::getpid());
  const int fd = ::open(temporary.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (fd < 0) throw Error(ErrorCode::kInvalidArgument, path + ": cannot create: " + std::strerror(errno));
  return fd;
}

}  // namespace

SafetensorsWriter::SafetensorsWriter(const std::string& path, const Metadata& metadata) : path_(path), metadata_(metadata) {
  fd_ = open_beside(path_, temporary_);
}

SafetensorsWriter::SafetensorsWriter(const std::string& path, const std::vector<TensorDeclaration>& tensors, const Metadata& metadata)
    : path_(path), metadata_(metadata), declared_(true) {
  for (const TensorDeclaration& tensor : tensors) declare(tensor);
  const std::string text = header();
  fd_ = open_beside(path_, temporary_);
  try {
    write_at(fd_, path_, 0, reinterpret_cast<const std::byte*>(text.data()), text.size());
    data_start_ = static_cast<int64_t>(text.size());
    if (::ftruncate(fd_, static_cast<off_t>(data_start_ + data_bytes_)) != 0) fail_write(path_);
  } catch (...) {
    ::close(fd_);
    ::unlink(temporary_.c_str());
    throw;
  }
}

SafetensorsWriter::~SafetensorsWriter() {
  if (fd_ < 0) return;
  ::close(fd_);
  ::unlink(temporary_.c_str());
}

void SafetensorsWriter::declare(const TensorDeclaration& tensor) {
  const std::string where = path_ + ": " + tensor.name;
  if (!names_.emplace(tensor.name, entries_.size()).second) throw Error(ErrorCode::kInvalidArgument, where + ": written twice");
  int64_t bytes = dtype_bytes(tensor.dtype), end = 0;
  for (const int64_t extent : tensor.shape)
    if (extent < 0 || __builtin_mul_overflow(bytes, extent, &bytes))
      throw Error(ErrorCode::kInvalidArgument, where + ": a shape that cannot be written: " + shape_text(tensor.shape));
  if (__builtin_add_overflow(data_bytes_, bytes, &end)) throw Error(ErrorCode::kInvalidArgument, where + ": too large");
  entries_.push_back({tensor, data_bytes_, bytes});
  data_bytes_ = end;
}

void SafetensorsWriter::add(const std::string& name, DType dtype, const std::vector<int64_t>& shape, std::span<const std::byte> bytes) {
  if (declared_) throw Error(ErrorCode::kInternal, path_ + ": " + name + ": added to a file of declared tensors");
  declare({name, dtype, shape});
  const Entry& entry = entries_.back();
  if (static_cast<size_t>(entry.bytes) != bytes.size())
    throw Error(ErrorCode::kInvalidArgument, path_ + ": " + name + ": " + dtype_name(dtype) + " " + shape_text(shape) + " needs " +
                                                 std::to_string(entry.bytes) + " bytes, got " + std::to_string(bytes.size()));
  write_at(fd_, path_, entry.begin, bytes.data(), bytes.size());
}

void SafetensorsWriter::write(size_t index, int64_t offset, std::span<const std::byte> bytes) const {
  if (!declared_ || index >= entries_.size() || offset < 0 || static_cast<int64_t>(bytes.size()) > entries_[index].bytes - offset)
    throw Error(ErrorCode::kInternal, path_ + ": a write outside tensor " + std::to_string(index));
  write_at(fd_, path_, data_start_ + entries_[index].begin + offset, bytes.data(), bytes.size());
}

// 8 bytes of length and the JSON text, padded with spaces so that the data starts at a multiple of 64.
std::string SafetensorsWriter::header() const {
  std::string text = "{";
  const auto comma = [&text] {
    if (text.back() != '{' && text.back() != '[') text += ',';
  };
  if (!metadata_.empty()) {
    text += "\"__metadata__\":{";
    for (const auto& [key, value] : metadata_) comma(), text.append(json_string(key)).append(":").append(json_string(value));
    text += '}';
  }
  for (const Entry& entry : entries_) {
    comma();
    text.append(json_string(entry.tensor.name)).append(":{\"dtype\":\"").append(dtype_name(entry.tensor.dtype)).append("\",\"shape\":[");
    for (const int64_t extent : entry.tensor.shape) comma(), text.append(std::to_string(extent));
    text.append("],\"data_offsets\":[").append(std::to_string(entry.begin)).append(",").append(std::to_string(entry.begin + entry.bytes)).append("]}");
  }
  text += "}";
  text.resize((text.size() + 8 + 63) / 64 * 64 - 8, ' ');
  const uint64_t length = text.size();
  if (length > kMaxSafetensorsHeader) throw Error(ErrorCode::kInvalidArgument, path_ + ": more tensors than one header may name");
  char bytes[8];
  std::memcpy(bytes, &length, 8);
  return std::string(bytes, 8) + text;
}

// Added tensors lie at the file's start: they move up by the header's size, last bytes first.
void SafetensorsWriter::append_data_behind_header() {
  const std::string text = header();
  const int64_t shift = static_cast<int64_t>(text.size());
  std::vector<std::byte> chunk(size_t{4} << 20);
  for (int64_t end = data_bytes_; end > 0;) {
    const int64_t size = std::min<int64_t>(end, static_cast<int64_t>(chunk.size())), begin = end - size;
    for (int64_t done = 0; done < size;) {
      const ssize_t n = ::pread(fd_, chunk.data() + done, static_cast<size_t>(size - done), static_cast<off_t>(begin + done));
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) fail_write(path_);
      done += n;
    }
    write_at(fd_, path_, begin + shift, chunk.data(), static_cast<size_t>(size));
    end = begin;
  }
  write_at(fd_, path_, 0, reinterpret_cast<const std::byte*>(text.data()), text.size());
}

void SafetensorsWriter::finish() {
  if (fd_ < 0) throw Error(ErrorCode::kInternal, path_ + ": finished twice");
  if (!declared_) append_data_behind_header();
  const int fd = fd_;
  fd_ = -1;
  if (::close(fd) != 0 || ::rename(temporary_.c_str(), path_.c_str()) != 0) {
    const int reason = errno;
    ::unlink(temporary_.c_str());
    errno = reason;
    fail_write(path_);
  }
}

void write_file_atomically(const std::string& path, const std::string& text) {
  std::string temporary;
  const int fd = open_beside(path, temporary);
  try {
    write_at(fd, path, 0, reinterpret_cast<const std::byte*>(text.data()), text.size());
  } catch (...) {
    ::close(fd);
    ::unlink(temporary.c_str());
    throw;
  }
  if (::close(fd) == 0 && ::rename(temporary.c_str(), path.c_str()) == 0) return;
  const int reason = errno;
  ::unlink(temporary.c_str());
  errno = reason;
  fail_write(path);
}

}  // namespace g3n

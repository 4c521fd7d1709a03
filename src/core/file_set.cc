#include "core/file_set.h"

#include <filesystem>

#include "core/file_kind.h"
#include "core/open_file.h"
#include "g3n/error.h"

namespace g3n {
namespace {

std::string_view without_byte_order_mark(std::span<const std::byte> bytes) {
  std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
  return text;
}

}  // namespace

FileSet FileSet::folder(const std::string& path) {
  FileSet set;
  set.where_ = path;
  set.is_folder_ = true;
  set.mapped_ = std::make_shared<std::map<std::string, MappedFile>>();
  return set;
}

FileSet::FileSet(std::string where, std::map<std::string, std::span<const std::byte>> files,
                 std::shared_ptr<const void> owner)
    : where_(std::move(where)), files_(std::move(files)), owner_(std::move(owner)) {}

FileSet FileSet::made(std::string where, Makers makers) {
  FileSet set;
  set.where_ = std::move(where);
  set.made_ = std::make_shared<Made>(Made{std::move(makers), {}});
  return set;
}

FileSet FileSet::with(std::map<std::string, std::optional<std::string>> files) const {
  FileSet set = *this;
  if (replaced_) files.insert(replaced_->begin(), replaced_->end());
  set.replaced_ = std::make_shared<const std::map<std::string, std::optional<std::string>>>(std::move(files));
  return set;
}

const std::optional<std::string>* FileSet::replaced(const std::string& name) const {
  if (!replaced_) return nullptr;
  const auto found = replaced_->find(name);
  return found == replaced_->end() ? nullptr : &found->second;
}

bool FileSet::has(const std::string& name) const {
  if (const auto* other = replaced(name)) return other->has_value();
  if (made_) return made_->makers.contains(name);
  if (!is_folder_) return files_.contains(name);
  std::error_code ignored;
  if (std::filesystem::is_regular_file(path(name), ignored)) return true;
  refuse_dead_link(path(name));  // what was there once is not to be replaced by a default
  return false;
}

std::string FileSet::path(const std::string& name) const { return where_ + (is_folder_ ? "/" : ": ") + name; }

std::string_view FileSet::text(const std::string& name) const {
  if (const auto* other = replaced(name)) {
    if (!*other) throw Error(ErrorCode::kNotFound, path(name) + ": no such file");
    return **other;
  }
  if (made_ && has(name)) {
    if (!made_->texts.contains(name)) made_->texts.emplace(name, made_->makers.at(name)());
    return made_->texts.at(name);
  }
  if (!is_folder_) {
    const auto found = files_.find(name);
    if (found == files_.end()) throw Error(ErrorCode::kNotFound, path(name) + ": no such file");
    return without_byte_order_mark(found->second);
  }
  const auto found = mapped_->try_emplace(name, path(name)).first;
  refuse_lfs_pointer(found->second.bytes(), path(name));
  return without_byte_order_mark(found->second.bytes());
}

}  // namespace g3n

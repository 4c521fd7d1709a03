// FileSet: the small files of a checkpoint (configs, tokenizer, chat template) by name, whether they lie in a folder or
// inside a bundle.
#pragma once
#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "core/mapped_file.h"

namespace g3n {

class FileSet {
 public:
  FileSet() = default;
  // Files of a folder; each is mapped when asked for.
  static FileSet folder(const std::string& path);
  // Files inside another file, which `owner` keeps alive.
  FileSet(std::string where, std::map<std::string, std::span<const std::byte>> files,
          std::shared_ptr<const void> owner);
  // Texts that stand for files of `where`; each is made when it is asked for, and kept.
  using Makers = std::map<std::string, std::function<std::string()>>;
  static FileSet made(std::string where, Makers makers);

  // The same set with these files in the place of its own, or without its own (none).
  FileSet with(std::map<std::string, std::optional<std::string>> files) const;

  const std::string& where() const { return where_; }  // the folder or the file around
  // Throws kNotFound for a link to nothing.
  bool has(const std::string& name) const;
  // For messages: "DIR/config.json", "model.g3n: config.json".
  std::string path(const std::string& name) const;
  // The whole file without a byte order mark; valid as long as the set or a copy of it. Throws kNotFound, and kBadFile
  // for a git-lfs pointer.
  std::string_view text(const std::string& name) const;

 private:
  // What stands in a file's place: null: the file itself; none in it: no file.
  const std::optional<std::string>* replaced(const std::string& name) const;

  std::string where_;
  bool is_folder_ = false;
  std::map<std::string, std::span<const std::byte>> files_;
  std::shared_ptr<const void> owner_;
  std::shared_ptr<std::map<std::string, MappedFile>> mapped_;
  struct Made {
    Makers makers;
    std::map<std::string, std::string> texts;
  };
  std::shared_ptr<Made> made_;                                                         // null: none
  std::shared_ptr<const std::map<std::string, std::optional<std::string>>> replaced_;  // null: none
};

}  // namespace g3n

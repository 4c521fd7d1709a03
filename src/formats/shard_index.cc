#include "formats/shard_index.h"

#include <set>

#include "core/file_kind.h"
#include "core/printable.h"
#include "json/events.h"
#include "g3n/error.h"

namespace g3n {
namespace {

// The string values of "weight_map".
class IndexEvents : public JsonEvents {
 public:
  explicit IndexEvents(const std::string& path) : path_(path) {}
  std::map<std::string, std::string> weight_map;
  bool found = false;

  void on_object_begin() override {
    ++depth_;
    if (depth_ == 2 && key_ == "weight_map")
      inside_ = found = true;
    else if (inside_)
      wrong();
  }
  void on_object_end() override {
    if (depth_ == 2) inside_ = false;
    --depth_;
  }
  void on_list_begin() override {
    ++depth_;
    if (inside_ || depth_ == 1) wrong();
  }
  void on_list_end() override { --depth_; }
  void on_key(std::string& key) override {
    if (depth_ == 1 || inside_) key_ = std::move(key);
  }
  void on_text(std::string& value) override {
    if (inside_) weight_map[key_] = std::move(value);
  }
  void on_null() override { scalar(); }
  void on_boolean(bool) override { scalar(); }
  void on_integer(int64_t) override { scalar(); }
  void on_number(double) override { scalar(); }

 private:
  void scalar() {
    if (inside_) wrong();
  }
  [[noreturn]] void wrong() const {
    throw Error(ErrorCode::kBadFile, path_ + ": expected an object whose weight_map gives a file name for each tensor" +
                                         (inside_ ? ", found something else at " + printable_start(key_) : ""));
  }

  const std::string& path_;
  std::string key_;
  int depth_ = 0;
  bool inside_ = false;
};

}  // namespace

std::map<std::string, std::string> read_shard_index(const std::string& path) {
  const std::string text = read_text_file(path);
  IndexEvents events(path);
  parse_json(text, path, events);
  if (!events.found || events.weight_map.empty())
    throw Error(ErrorCode::kBadFile, path + ": expected a weight_map with at least one tensor");
  for (const auto& [tensor, file] : events.weight_map)
    if (file.empty() || file.find('/') != std::string::npos || file.find('\0') != std::string::npos || file == "." ||
        file == "..")
      throw Error(ErrorCode::kBadFile, path + ": " + printable_start(tensor) +
                                           ": expected the name of a file in the same folder, found \"" +
                                           printable_start(file) + "\"");
  return std::move(events.weight_map);
}

std::vector<std::string> shards_of_index(const std::map<std::string, std::string>& weight_map) {
  std::set<std::string> shards;
  for (const auto& [tensor, file] : weight_map) shards.insert(file);
  return {shards.begin(), shards.end()};
}

std::vector<std::string> shards_of_index(const std::string& path) { return shards_of_index(read_shard_index(path)); }

}  // namespace g3n

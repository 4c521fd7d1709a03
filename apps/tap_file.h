// TapFile: a tap sink that writes what matches to a .safetensors file. Taps of a prompt that comes in one chunk go to
// disk at once; of several chunks they are kept and joined along their token axis.
#pragma once
#include <map>
#include <span>
#include <string>
#include <vector>

#include "core/context.h"
#include "formats/safetensors_writer.h"

namespace g3n::cli {

class TapFile : public TapSink {
 public:
  // Throws as AtomicFile, before any work. No globs: all taps.
  TapFile(const std::string& path, std::vector<std::string> globs, const WriteRules& rules);

  // Put before the names that come: "image.1.", "clip.0.".
  void set_prefix(const std::string& prefix) { prefix_ = prefix; }
  // Between begin and end of a prompt in chunks, taps are joined.
  void begin_chunks();
  void end_chunks();

  bool wants(const std::string& name) override;
  void record(const std::string& name, std::span<const int64_t> dims, const float* data, int token_axis) override;
  // What is no tap and always written.
  void add(const std::string& name, DType dtype, const std::vector<int64_t>& dims, std::span<const std::byte> bytes);

  // Globs that no name matched.
  std::vector<std::string> unmatched_globs() const;
  int64_t written() const { return written_; }
  void finish();

 private:
  // Pieces of one tap, in the order of the chunks.
  struct Pieces {
    std::vector<int64_t> dims;  // of the first, the token axis summed over all
    int token_axis = 0;
    std::vector<int64_t> counts;  // along the token axis
    std::vector<std::vector<float>> data;
    std::vector<float> joined() const;
  };

  std::vector<std::string> globs_;
  std::map<std::string, bool> matched_;  // by glob
  std::string prefix_;
  SafetensorsWriter writer_;
  bool in_chunks_ = false;
  std::vector<std::string> order_;  // of pieces_
  std::map<std::string, Pieces> pieces_;
  int64_t written_ = 0;
};

}  // namespace g3n::cli

// Recipe: which tensor is kept in which format (docs/quantization.md). Lines `pattern format`, first match wins; *
// stands for any characters, # begins a comment. Formats: q4, q8, bf16, f32, keep (as in the file). Tables (rows looked
// up on disk) are named with @table behind.
#pragma once
#include <string>
#include <vector>

#include "weights/bundle.h"

namespace g3n {

class Recipe {
 public:
  // Everything as in the file.
  Recipe() = default;
  // "q4", "q8", "keep" (everything as in the file), the path of a file, or "": nobody asks for anything. Throws
  // kNotFound, kBadFile naming the line, kInvalidArgument listing the names.
  static Recipe named(const std::string& name);
  static Recipe parse(const std::string& text, const std::string& where);

  const std::string& name() const { return name_; }
  // Did somebody ask for formats, be it for those of the file? What is packed already can only be taken as it is.
  bool is_explicit() const { return explicit_; }

  // The format of a matrix or table [rows, cols] whose stored type is `stored`. small_model: fewer than 100 million
  // parameters. What is quantised already stays as it is; so do matrices with fewer than 32 inputs.
  DType format(const std::string& name, DType stored, int64_t cols, bool small_model) const;

 private:
  struct Line {
    std::string pattern;
    std::string format;
  };
  std::string name_ = "keep";
  bool explicit_ = false;
  bool eases_small_models_ = false;  // the built-in q4: narrow tensors of small models take q8
  std::vector<Line> lines_;
};

}  // namespace g3n

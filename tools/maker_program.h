// What the programs have in common that make one GGUF file: NAME IN OUT.gguf --type TYPE, and flags of their own.
// Exit 0 written, 1 failed, 2 usage.
#pragma once
#include <cstdio>
#include <exception>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/dtype.h"

namespace g3n {

// What is wrong with the command line.
struct UsageProblem {
  std::string what;
};

struct MakerArguments {
  std::string in, out, type_name;
  DType type = DType::kF32;
};

struct MakerProgram {
  std::string name, usage, in;  // in: what IN is called
  std::vector<std::pair<std::string, DType>> types;
  // A flag of its own, and the word behind it: how many of both it is; 0: no such flag. Throws UsageProblem.
  std::function<int(const std::string& flag, const std::string& next)> take_flag;
  std::function<void(const MakerArguments&)> make;
};

// "a", "a or b", "a, b or c".
inline std::string one_of(const std::vector<std::pair<std::string, DType>>& types) {
  std::string out;
  for (std::size_t i = 0; i < types.size(); ++i)
    out += (i == 0 ? "" : i + 1 == types.size() ? " or " : ", ") + types[i].first;
  return out;
}

// Empty: help is asked for.
inline std::optional<MakerArguments> read_maker_arguments(const MakerProgram& program,
                                                          const std::vector<std::string>& words) {
  MakerArguments arguments;
  std::vector<std::string> paths;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string &word = words[i], next = i + 1 < words.size() ? words[i + 1] : "";
    if (word == "--help" || word == "-h") return {};
    if (word == "--type") {
      for (const auto& [name, type] : program.types)
        if (name == next) arguments.type_name = name, arguments.type = type;
      if (arguments.type_name != next || next.empty())
        throw UsageProblem{"--type: expected " + one_of(program.types) + ", found '" + next + "'"};
      ++i;
    } else if (const int taken = program.take_flag ? program.take_flag(word, next) : 0; taken > 0) {
      i += static_cast<std::size_t>(taken) - 1;
    } else if (word.starts_with("-")) {
      throw UsageProblem{word + ": unknown option"};
    } else {
      paths.push_back(word);
    }
  }
  if (paths.size() != 2) throw UsageProblem{"expected " + program.in + " and OUT.gguf"};
  if (arguments.type_name.empty()) throw UsageProblem{"expected --type"};
  arguments.in = paths[0], arguments.out = paths[1];
  return arguments;
}

inline int run_maker(const MakerProgram& program, int argc, char** argv) {
  try {
    const std::optional<MakerArguments> arguments = read_maker_arguments(program, {argv + 1, argv + argc});
    if (!arguments) return std::fputs(program.usage.c_str(), stdout) < 0;
    program.make(*arguments);
  } catch (const UsageProblem& problem) {
    std::fprintf(stderr, "%s: %s\n%s", program.name.c_str(), problem.what.c_str(), program.usage.c_str());
    return 2;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s: %s\n", program.name.c_str(), error.what());
    return 1;
  }
  return 0;
}

}  // namespace g3n

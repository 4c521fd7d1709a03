// One fuzz target per parser of bytes that somebody else wrote. A target may end in any way that is g3n::Error; every
// other exception, signal and report of a sanitizer is a fault. Run by libFuzzer (tools/fuzz.sh) and, over the seeds
// and what was found before, as an ordinary test (corpus_test.cc).
#pragma once
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace g3n::fuzz {

struct Target {
  const char* name;
  void (*run)(std::span<const uint8_t> bytes);
  std::vector<const char*> seeds;  // files and folders of the repository, "FOLDER/*ENDING"
  std::vector<std::string> texts;  // small seeds
};

const std::vector<Target>& targets();
// Throws std::out_of_range for a name that none has.
const Target& target(const std::string& name);
inline std::string text_of(std::span<const uint8_t> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
// The seeds: those of the table and tests/fuzz/found/NAME.
std::vector<std::vector<uint8_t>> seeds_of(const Target& target, const std::filesystem::path& repository);

}  // namespace g3n::fuzz

// write_seeds REPOSITORY FOLDER: the seeds of every target as FOLDER/TARGET/NUMBER, for libFuzzer.
#include <cstdio>
#include <exception>
#include <fstream>

#include "fuzz/targets.h"

int main(int argc, char** argv) try {
  if (argc != 3) return std::fprintf(stderr, "usage: write_seeds REPOSITORY FOLDER\n"), 2;
  for (const g3n::fuzz::Target& target : g3n::fuzz::targets()) {
    const std::filesystem::path folder = std::filesystem::path(argv[2]) / target.name;
    std::filesystem::create_directories(folder);
    int number = 0;
    for (const auto& seed : g3n::fuzz::seeds_of(target, argv[1]))
      std::ofstream(folder / std::to_string(number++), std::ios::binary)
          .write(reinterpret_cast<const char*>(seed.data()), static_cast<std::streamsize>(seed.size()));
    std::printf("%s\n", target.name);
  }
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "write_seeds: %s\n", error.what());
  return 1;
}

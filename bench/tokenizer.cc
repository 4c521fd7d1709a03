// How fast text becomes ids: loading, mixed languages by line and as one line, one unbroken word; 0.1, 1 and 10 MB.
//   bench_tokenizer FOLDER [FILE...]      FOLDER: a tokenizer folder; FILE: text to encode instead of the built-in one
#include "tokenizer/tokenizer.h"

#include <sys/resource.h>

#include <chrono>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>

#include "g3n/error.h"

namespace {

double seconds_now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// Sentences in scripts whose pieces, bytes per character and word lengths differ.
constexpr const char* kSentences[] = {
    "All human beings are born free and equal in dignity and rights.",
    "Alle Menschen sind frei und gleich an W\xC3\xBCrde und Rechten geboren.",
    "\xD0\x92\xD1\x81\xD0\xB5 \xD0\xBB\xD1\x8E\xD0\xB4\xD0\xB8 "
    "\xD1\x80\xD0\xBE\xD0\xB6\xD0\xB4\xD0\xB0\xD1\x8E\xD1\x82\xD1\x81\xD1\x8F "
    "\xD1\x81\xD0\xB2\xD0\xBE\xD0\xB1\xD0\xBE\xD0\xB4\xD0\xBD\xD1\x8B\xD0\xBC\xD0\xB8.",
    "\xE4\xBA\xBA\xE4\xBA\xBA\xE7\x94\x9F\xE8\x80\x8C\xE8\x87\xAA\xE7\x94\xB1\xEF\xBC\x8C\xE5\x9C\xA8\xE5\xB0\x8A\xE4"
    "\xB8\xA5\xE5\x92\x8C"
    "\xE6\x9D\x83\xE5\x88\xA9\xE4\xB8\x8A\xE4\xB8\x80\xE5\xBE\x8B\xE5\xB9\xB3\xE7\xAD\x89\xE3\x80\x82",
    "\xE0\xA4\xB8\xE0\xA4\xAD\xE0\xA5\x80 "
    "\xE0\xA4\xAE\xE0\xA4\xA8\xE0\xA5\x81\xE0\xA4\xB7\xE0\xA5\x8D\xE0\xA4\xAF\xE0\xA5\x8B\xE0\xA4\x82 "
    "\xE0\xA4\x95\xE0\xA5\x8B "
    "\xE0\xA4\xB8\xE0\xA5\x8D\xE0\xA4\xB5\xE0\xA4\xA4\xE0\xA4\x82\xE0\xA4\xA4\xE0\xA5\x8D\xE0\xA4\xB0\xE0\xA4\xA4\xE0"
    "\xA4\xBE.",
    "\xEB\xAA\xA8\xEB\x93\xA0 \xEC\x9D\xB8\xEA\xB0\x84\xEC\x9D\x80 \xED\x83\x9C\xEC\x96\xB4\xEB\x82\xA0 "
    "\xEB\x95\x8C\xEB\xB6\x80\xED\x84\xB0 \xEC\x9E\x90\xEC\x9C\xA0\xEB\xA1\x9C\xEC\x9A\xB0\xEB\xA9\xB0.",
    "for (int i = 0; i < 10; ++i) { total += values[i] * 0x1F; }",
};

std::string mixed(std::size_t bytes, char separator) {
  std::string text;
  for (std::size_t i = 0; text.size() < bytes; ++i) (text += kSentences[i * 5 % std::size(kSentences)]) += separator;
  return text;
}

void measure(const g3n::Tokenizer& tokenizer, const char* name, const std::string& text) {
  const double begin = seconds_now();
  const std::size_t ids = tokenizer.encode(text).size();
  const double seconds = seconds_now() - begin;
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  std::printf("%-24s %9zu bytes %8zu ids %8.3f s %7.2f MB/s   peak %ld MB\n", name, text.size(), ids, seconds,
              1e-6 * text.size() / seconds, usage.ru_maxrss / 1024);
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc < 2) {
    std::fprintf(stderr, "usage: bench_tokenizer FOLDER [FILE...]\n");
    return 2;
  }
  const double begin = seconds_now();
  const std::unique_ptr<g3n::Tokenizer> tokenizer = g3n::Tokenizer::load(argv[1]);
  std::printf("%s: %d pieces loaded in %.3f s\n", tokenizer->file().c_str(), tokenizer->vocab_size(),
              seconds_now() - begin);
  for (int i = 2; i < argc; ++i) {
    std::ifstream file(argv[i], std::ios::binary);
    measure(*tokenizer, argv[i], {std::istreambuf_iterator<char>(file), {}});
  }
  if (argc > 2) return 0;
  for (const std::size_t bytes : {100'000u, 1'000'000u, 10'000'000u}) {
    measure(*tokenizer, "mixed, by line", mixed(bytes, '\n'));
    measure(*tokenizer, "mixed, one line", mixed(bytes, ' '));
    measure(*tokenizer, "one letter", std::string(bytes, 'a'));
    measure(*tokenizer, "spaces", std::string(bytes, ' '));
  }
  return 0;
} catch (const g3n::Error& error) {
  std::fprintf(stderr, "bench_tokenizer: %s\n", error.what());
  return 1;
}

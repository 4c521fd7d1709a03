// What the tokenizer's tests share: temporary folders, rows of the goldens (tests/golden/data/tokenizer/README.md), a
// hand-made SentencePiece model.
#pragma once
#include <cstdint>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "g3n/message.h"
#include "support/source_path.h"
#include "tokenizer/vocabulary.h"

namespace g3n::test {

inline const std::string kDemo = source_path("models/demo");
inline const std::string kGoldens = source_path("tests/golden/data");

// A folder that is gone at the end of the test.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  const std::string& path() const { return path_; }
  void write(const std::string& name, std::string_view bytes) const;
  void link(const std::string& from_folder, const std::string& name) const;

 private:
  std::string path_;
};

std::string read_file(const std::string& path);
std::vector<nlohmann::json> read_rows(const std::string& path);  // of a .jsonl file

// The text a row of adversarial.jsonl or corpus.jsonl stands for; texts are those of corpus.jsonl.
std::string text_of_row(const nlohmann::json& row, const std::vector<std::string>& texts);

// CRC-32 of the ids as little-endian int32, eight hex digits.
std::string crc32_of(std::span<const std::int32_t> ids);

// Messages as transformers takes them. Throws Error where they are none.
std::vector<Message> messages_of(const nlohmann::json& json);

// The bytes of a tokenizer.model: these pieces, then BPE's trainer_spec and Gemma's normalizer_spec.
struct ModelPiece {
  std::string text;
  float score = 0;
  int type = 1;
};
std::string sentencepiece_bytes(const std::vector<ModelPiece>& pieces, int model_type = 2);
// <pad> <eos> <bos> <unk>, 256 bytes, then `more`.
std::vector<ModelPiece> small_pieces(const std::vector<ModelPiece>& more);

// A repeatable stream of numbers.
class Numbers {
 public:
  explicit Numbers(std::uint64_t seed) : state_(seed) {}
  std::uint32_t below(std::uint32_t limit);

 private:
  std::uint64_t state_;
};

}  // namespace g3n::test

// Golden rows and hand-made files for the tokenizer's tests.
#include "tokenizer/support.h"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <sstream>
#include <stdexcept>

#include "g3n/error.h"

namespace g3n::test {

using Json = nlohmann::json;

TemporaryFolder::TemporaryFolder() {
  std::string name = std::filesystem::temp_directory_path().string() + "/g3n_tokenizer_XXXXXX";
  if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("cannot make " + name);
  path_ = name;
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

void TemporaryFolder::write(const std::string& name, std::string_view bytes) const {
  std::ofstream(path_ + "/" + name, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

void TemporaryFolder::link(const std::string& from_folder, const std::string& name) const {
  std::filesystem::create_symlink(std::filesystem::absolute(from_folder + "/" + name), path_ + "/" + name);
}

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error("cannot read " + path);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::vector<Json> read_rows(const std::string& path) {
  std::istringstream lines(read_file(path));
  std::vector<Json> rows;
  for (std::string line; std::getline(lines, line);) rows.push_back(Json::parse(line));
  return rows;
}

namespace {

std::uint32_t hashed(std::uint32_t i, std::uint32_t seed) {
  std::uint32_t h = (i + 1000003u * seed) * 2654435761u;
  h = (h ^ h >> 15) * 2246822519u;
  return h ^ h >> 13;
}

void append_scalar(std::string& out, std::uint32_t c) {
  const auto byte = [&out](std::uint32_t b) { out += static_cast<char>(b); };
  if (c < 0x80) return byte(c);
  if (c < 0x800) return byte(0xC0 | c >> 6), byte(0x80 | (c & 63));
  if (c < 0x10000) return byte(0xE0 | c >> 12), byte(0x80 | (c >> 6 & 63)), byte(0x80 | (c & 63));
  byte(0xF0 | c >> 18), byte(0x80 | (c >> 12 & 63)), byte(0x80 | (c >> 6 & 63)), byte(0x80 | (c & 63));
}

std::string repeated_corpus(const Json& rule, const std::vector<std::string>& texts) {
  const auto separator = rule["separator"].get<std::string>();
  std::string out;
  for (std::size_t i = 0; out.size() < rule["bytes"].get<std::size_t>(); ++i) {
    for (const char c : texts[i % texts.size()]) c == '\n' ? out += separator : out += c;
    out += separator;
  }
  return out;
}

}  // namespace

std::string text_of_row(const Json& row, const std::vector<std::string>& texts) {
  std::string out;
  if (row.contains("parts")) {
    for (const Json& part : row["parts"])
      for (int i = 0; i < part[1].get<int>(); ++i) out += part[0].get<std::string>();
  } else if (row.contains("hashed")) {
    const Json& rule = row["hashed"];
    for (std::uint32_t i = 0; i < rule["count"].get<std::uint32_t>(); ++i)
      append_scalar(out, rule["first"].get<std::uint32_t>() +
                             hashed(i, rule["seed"].get<std::uint32_t>()) % rule["size"].get<std::uint32_t>());
  } else if (row.contains("corpus")) {
    out = repeated_corpus(row["corpus"], texts);
  } else if (row.contains("hex")) {
    const auto hex = row["hex"].get<std::string>();
    for (std::size_t i = 0; i < hex.size(); i += 2) out += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
  } else {
    out = row["text"].get<std::string>();
  }
  return out;
}

std::string crc32_of(std::span<const std::int32_t> ids) {
  std::uint32_t crc = ~0u;
  for (const std::int32_t id : ids)
    for (int shift = 0; shift < 32; shift += 8) {
      crc ^= static_cast<std::uint32_t>(id) >> shift & 255;
      for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320u : 0);
    }
  char text[16];
  std::snprintf(text, sizeof text, "%08x", ~crc);
  return text;
}

std::vector<Message> messages_of(const Json& json) {
  std::vector<Message> messages;
  for (const Json& item : json) {
    Message message{item.value("role", ""), {}};
    const Json content = item.value("content", Json());
    if (content.is_string()) {
      message.parts.push_back(TextPart{content.get<std::string>()});
    } else if (content.is_array()) {
      for (const Json& part : content) {
        const auto type = part["type"].get<std::string>();
        if (type == "text") message.parts.push_back(TextPart{part["text"].get<std::string>()});
        if (type == "image") message.parts.push_back(ImagePart{});
        if (type == "audio") message.parts.push_back(AudioPart{});
      }
    } else if (!content.is_null()) {
      throw Error(ErrorCode::kInvalidArgument, "content: expected a string or a list");
    }
    messages.push_back(std::move(message));
  }
  return messages;
}

namespace {

std::string varint(std::uint64_t n) {
  std::string out;
  for (; n > 127; n >>= 7) out += static_cast<char>((n & 127) | 128);
  return out += static_cast<char>(n);
}
std::string block(int field, const std::string& bytes) { return varint(field << 3 | 2) + varint(bytes.size()) + bytes; }
std::string number(int field, std::uint64_t n) { return varint(field << 3) + varint(n); }

}  // namespace

std::string sentencepiece_bytes(const std::vector<ModelPiece>& pieces, int model_type) {
  std::string out;
  for (const ModelPiece& piece : pieces) {
    char score[4];
    std::memcpy(score, &piece.score, 4);
    out += block(1, block(1, piece.text) + varint(2 << 3 | 5) + std::string(score, 4) + number(3, piece.type));
  }
  out += block(2, number(3, model_type) + number(35, 1) + number(40, 3));
  return out + block(3, block(1, "identity") + number(3, 0) + number(4, 0) + number(5, 1));
}

std::vector<ModelPiece> small_pieces(const std::vector<ModelPiece>& more) {
  std::vector<ModelPiece> pieces = {{"<pad>", 0, 3}, {"<eos>", 0, 3}, {"<bos>", 0, 3}, {"<unk>", 0, 2}};
  for (int byte = 0; byte < 256; ++byte) {
    char text[8];
    std::snprintf(text, sizeof text, "<0x%02X>", byte);
    pieces.push_back({text, 0, 6});
  }
  pieces.insert(pieces.end(), more.begin(), more.end());
  return pieces;
}

std::uint32_t Numbers::below(std::uint32_t limit) {
  state_ = state_ * 6364136223846793005u + 1442695040888963407u;
  return static_cast<std::uint32_t>((state_ >> 33) % limit);
}

}  // namespace g3n::test

// Reading of test files; safetensors only as far as the goldens need it.
#include "support/media_files.h"
#include "support/source_path.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <stdexcept>

#include <nlohmann/json.hpp>

namespace g3n::testing {

std::filesystem::path golden_media_folder() { return std::filesystem::path(source_path("tests/golden/data/media")); }
std::filesystem::path sample_media_folder() { return std::filesystem::path(source_path("tests/data/media")); }

std::vector<std::filesystem::path> media_files(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const std::string kind = entry.path().extension();
    if (entry.is_regular_file() && kind != ".json" && kind != ".safetensors") files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

std::vector<std::uint8_t> read_bytes(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error("test file missing: " + path.string());
  return {std::istreambuf_iterator<char>(file), {}};
}

std::vector<std::uint8_t> sample_media(const std::string& name) { return read_bytes(sample_media_folder() / name); }

nlohmann::json read_json(const std::filesystem::path& path) { return nlohmann::json::parse(read_bytes(path)); }

std::string crc32_hex(const void* data, std::size_t bytes) {
  std::uint32_t sum = 0xFFFFFFFF;
  for (std::size_t i = 0; i < bytes; ++i) {
    sum ^= static_cast<const std::uint8_t*>(data)[i];
    for (int bit = 0; bit < 8; ++bit) sum = sum >> 1 ^ (sum & 1 ? 0xEDB88320 : 0);
  }
  std::array<char, 9> text{};
  std::snprintf(text.data(), text.size(), "%08x", ~sum);
  return text.data();
}

std::vector<float> stored_values(const std::filesystem::path& file, const std::string& tensor) {
  const std::vector<std::uint8_t> bytes = read_bytes(file);
  std::uint64_t header_bytes = 0;
  std::memcpy(&header_bytes, bytes.data(), sizeof header_bytes);
  const auto header =
      nlohmann::json::parse(bytes.begin() + 8, bytes.begin() + 8 + static_cast<std::ptrdiff_t>(header_bytes));
  const auto& entry = header.at(tensor);
  const std::size_t begin = 8 + header_bytes + entry.at("data_offsets")[0].get<std::size_t>();
  const std::size_t end = 8 + header_bytes + entry.at("data_offsets")[1].get<std::size_t>();
  if (entry.at("dtype") == "U8")
    return std::vector<float>(bytes.begin() + static_cast<std::ptrdiff_t>(begin),
                              bytes.begin() + static_cast<std::ptrdiff_t>(end));
  std::vector<float> values((end - begin) / sizeof(float));
  std::memcpy(values.data(), bytes.data() + begin, end - begin);
  return values;
}

double relative_error(const std::vector<float>& got, const std::vector<float>& want) {
  if (got.size() != want.size()) return INFINITY;
  double difference = 0, size = 0;
  for (std::size_t i = 0; i < got.size(); ++i) {
    difference += (static_cast<double>(got[i]) - want[i]) * (static_cast<double>(got[i]) - want[i]);
    size += static_cast<double>(want[i]) * want[i];
  }
  return std::sqrt(difference / size);
}

}  // namespace g3n::testing

// Files of tests/data/media and tests/golden/data/media, and what they should decode to. For the media, preprocessing
// and mel tests.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

namespace g3n::testing {

std::filesystem::path golden_media_folder();  // recorded from transformers
std::filesystem::path sample_media_folder();  // made by tools/make_media_samples.py
std::vector<std::filesystem::path> media_files(
    const std::filesystem::path& folder);  // sorted, without .json and .safetensors

std::vector<std::uint8_t> read_bytes(const std::filesystem::path& path);
std::vector<std::uint8_t> sample_media(const std::string& name);
nlohmann::json read_json(const std::filesystem::path& path);

// CRC-32 as zlib's, eight hex digits.
std::string crc32_hex(const void* data, std::size_t bytes);

// The values of one tensor of a .safetensors file, U8 or F32, as float.
std::vector<float> stored_values(const std::filesystem::path& file, const std::string& tensor);

// rms(got - want) / rms(want)
double relative_error(const std::vector<float>& got, const std::vector<float>& want);

// values[0], values[stride], ...
template <class T>
std::vector<float> every(const std::vector<T>& values, std::size_t stride) {
  std::vector<float> out;
  for (std::size_t i = 0; i < values.size(); i += stride) out.push_back(static_cast<float>(values[i]));
  return out;
}

}  // namespace g3n::testing

// Image preprocessing to the byte: transformers' own results, and the formula again for sizes the goldens lack.
#include "vision/preprocess.h"

#include <algorithm>
#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "g3n/error.h"
#include "media/image.h"
#include "support/inputs.h"
#include "support/media_files.h"

namespace g3n {
namespace {

Pixels pixels_of(int width, int height, std::int64_t seed) {
  return {width, height, testing::golden_picture(width, height, seed)};
}

TEST(ResizeImage, GoldensToTheByte) {
  const auto folder = testing::golden_media_folder();
  const auto manifest = testing::read_json(folder / "manifest.json");
  int compared = 0;
  for (const auto& [key, want] : manifest["images"].items()) {
    const std::size_t dot = key.rfind('.');
    const std::string name = key.substr(0, dot), size = key.substr(dot + 1);
    if (size == "decoded" || name.ends_with("on_white")) continue;
    SCOPED_TRACE(key);
    const Pixels source = decode_image(testing::read_bytes(folder / name), name);
    const Pixels got = resize_image(source, std::stoi(size), std::stoi(size));
    ASSERT_EQ(got.rgb.size(), want["shape"][0].get<std::size_t>() * want["shape"][1].get<std::size_t>() * 3);
    const auto values = testing::every(got.rgb, want["stride"]),
               stored = testing::stored_values(folder / "images.safetensors", key);
    ASSERT_EQ(values.size(), stored.size());
    for (std::size_t i = 0; i < values.size(); ++i) ASSERT_NEAR(values[i], stored[i], 1) << i;
    // The decoders of lossy files may differ by a bit between library versions; where they do not, neither does the
    // rest.
    const auto& decoded = manifest["images"][name + ".decoded"];
    if (testing::crc32_hex(source.rgb.data(), source.rgb.size()) == decoded["crc32"]) {
      EXPECT_EQ(testing::crc32_hex(got.rgb.data(), got.rgb.size()), want["crc32"]);
      ++compared;
    }
  }
  EXPECT_GE(compared, 24);
}

// spec/vision.md 1, step 2, one output value of one axis.
int filtered(const std::vector<int>& in, int out_size, int o) {
  const auto weights = [&](int at, std::vector<double>* w) {
    const double scale = static_cast<double>(in.size()) / out_size, support = std::max(1.0, scale),
                 centre = (at + 0.5) * scale;
    const int lo = std::max(0, static_cast<int>(std::floor(centre - support + 0.5)));
    const int hi = std::min(static_cast<int>(in.size()), static_cast<int>(std::floor(centre + support + 0.5)));
    double sum = 0;
    for (int i = lo; i < hi; ++i) sum += w->emplace_back(std::max(0.0, 1 - std::abs(i + 0.5 - centre) / support));
    for (double& v : *w) v /= sum;
    return lo;
  };
  double largest = 0;
  for (int at = 0; at < out_size; ++at) {
    std::vector<double> w;
    weights(at, &w);
    for (const double v : w) largest = std::max(largest, v);
  }
  int shift = 0;
  while (shift < 22 && static_cast<int>(0.5 + largest * std::exp2(shift + 1)) < 32768) ++shift;
  std::vector<double> w;
  const int lo = weights(o, &w);
  std::int64_t sum = std::int64_t{1} << (shift - 1);
  for (std::size_t i = 0; i < w.size(); ++i)
    sum += static_cast<std::int64_t>(0.5 + w[i] * std::exp2(shift)) * in[static_cast<std::size_t>(lo) + i];
  return static_cast<int>(std::clamp<std::int64_t>(sum >> shift, 0, 255));
}

TEST(ResizeImage, OtherSizesAsTheFormula) {
  struct Case {
    int width, height, to_width, to_height;
  };
  for (const Case c :
       {Case{1, 1, 5, 3}, {3, 2, 9, 7}, {37, 40, 16, 80}, {50, 31, 50, 12}, {13, 64, 29, 64}, {300, 3, 7, 11}}) {
    SCOPED_TRACE(std::to_string(c.width) + "x" + std::to_string(c.height));
    const Pixels source = pixels_of(c.width, c.height, 3), got = resize_image(source, c.to_width, c.to_height);
    ASSERT_EQ(got.rgb.size(), static_cast<std::size_t>(3 * c.to_width * c.to_height));
    for (int channel = 0; channel < 3; ++channel) {
      for (int x = 0; x < c.to_width; ++x) {
        std::vector<int> column;
        for (int y = 0; y < c.height; ++y) {
          std::vector<int> row;
          for (int i = 0; i < c.width; ++i)
            row.push_back(source.rgb[static_cast<std::size_t>(3 * (y * c.width + i) + channel)]);
          column.push_back(c.width == c.to_width ? row[static_cast<std::size_t>(x)] : filtered(row, c.to_width, x));
        }
        for (int y = 0; y < c.to_height; ++y) {
          const int want =
              c.height == c.to_height ? column[static_cast<std::size_t>(y)] : filtered(column, c.to_height, y);
          ASSERT_EQ(got.rgb[static_cast<std::size_t>(3 * (y * c.to_width + x) + channel)], want) << x << "," << y;
        }
      }
    }
  }
}

TEST(ResizeImage, ExtremeShapes) {
  const auto wide_file = testing::read_bytes(testing::sample_media_folder() / "wide_12000x50.png");
  const Pixels wide = resize_image(decode_image(wide_file, "wide"), 768, 768);
  EXPECT_EQ(wide.rgb.size(), 768u * 768 * 3);
  const Pixels one = resize_image(Pixels{1, 1, {7, 8, 9}}, 768, 768);
  EXPECT_EQ(one.rgb[0], 7);
  EXPECT_EQ(one.rgb.back(), 9);
  const Pixels tall = resize_image(pixels_of(1, 16384, 1), 256, 256);
  EXPECT_EQ(tall.height, 256);
}

TEST(ResizeImage, SizesThatMakeNoSense) {
  EXPECT_THROW(resize_image(Pixels{1, 1, {1, 2, 3}}, 0, 5), Error);
  EXPECT_THROW(resize_image(Pixels{2, 1, {1, 2, 3}}, 5, 5), Error);
  EXPECT_THROW(resize_image(Pixels{}, 5, 5), Error);
  EXPECT_THROW(resize_image(Pixels{-1, -1, {1, 2, 3}}, 5, 5), Error);
}

TEST(ToFloat, IsAProduct) {
  Pixels all{256, 1, {}};
  for (int v = 0; v < 256; ++v) all.rgb.insert(all.rgb.end(), 3, static_cast<std::uint8_t>(v));
  std::vector<float> values(all.rgb.size());
  to_float(all, kRescaleFactor, values.data());
  int unlike_a_quotient = 0;
  for (int v = 0; v < 256; ++v) {
    EXPECT_EQ(values[static_cast<std::size_t>(3 * v)], static_cast<float>(v) * (1.0f / 255.0f));
    unlike_a_quotient += values[static_cast<std::size_t>(3 * v + 2)] != static_cast<float>(v) / 255.0f;
  }
  EXPECT_EQ(unlike_a_quotient, 126);
}

}  // namespace
}  // namespace g3n

// decode_image: every format against what Pillow (our samples) and transformers (the goldens) decode, limits, and
// errors by name.
#include "media/image.h"

#include <cstdlib>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "g3n/error.h"
#include "media/exif.h"
#include "support/media_files.h"

namespace g3n {
namespace {

using ::testing::HasSubstr;
using testing::sample_media;
using Bytes = std::vector<std::uint8_t>;

Bytes bytes_of(std::string_view text) { return {text.begin(), text.end()}; }

std::string picture_error(const Bytes& file) {
  try {
    decode_image(file, "picture");
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

int largest_difference(const std::vector<std::uint8_t>& got, const std::string& hex) {
  int largest = 0;
  for (std::size_t i = 0; i < got.size(); ++i)
    largest = std::max(largest, std::abs(got[i] - std::stoi(hex.substr(2 * i, 2), nullptr, 16)));
  return largest;
}

TEST(DecodeImage, SamplesAsPillow) {
  const auto samples = testing::read_json(testing::sample_media_folder() / "samples.json");
  ASSERT_GT(samples.size(), 40u);
  for (const auto& [name, want] : samples.items()) {
    SCOPED_TRACE(name);
    const Pixels got = decode_image(sample_media(name), name);
    ASSERT_EQ(got.width, want["width"]);
    ASSERT_EQ(got.height, want["height"]);
    ASSERT_EQ(got.rgb.size(), std::size_t{3} * got.width * got.height);
    if (want.contains("rgb")) {  // lossy, by another version of the same library
      EXPECT_LE(largest_difference(got.rgb, want["rgb"]), 2);
    } else {
      EXPECT_EQ(testing::crc32_hex(got.rgb.data(), got.rgb.size()), want["crc32"]);
    }
  }
}

TEST(DecodeImage, GoldensAsTransformers) {
  const auto folder = testing::golden_media_folder();
  int compared = 0;
  const auto manifest = testing::read_json(folder / "manifest.json");
  for (const auto& [key, want] : manifest["images"].items()) {
    if (!key.ends_with(".decoded")) continue;
    SCOPED_TRACE(key);
    const std::string name = key.substr(0, key.size() - 8);
    const Pixels got = decode_image(testing::read_bytes(folder / name), name);
    ASSERT_EQ(got.height, want["shape"][0]);
    ASSERT_EQ(got.width, want["shape"][1]);
    const auto values = testing::every(got.rgb, want["stride"]),
               stored = testing::stored_values(folder / "images.safetensors", key);
    ASSERT_EQ(values.size(), stored.size());
    const bool lossy = name.ends_with(".jpg") || name.starts_with("lossy");
    for (std::size_t i = 0; i < values.size(); ++i) ASSERT_NEAR(values[i], stored[i], lossy ? 2 : 0) << i;
    if (!lossy) {
      EXPECT_EQ(testing::crc32_hex(got.rgb.data(), got.rgb.size()), want["crc32"]);
    }
    ++compared;
  }
  EXPECT_EQ(compared, 12);
}

TEST(DecodeImage, BytesBehindTheEndAreIgnored) {
  for (const char* name : {"progressive.jpg", "rgb16.png", "exif6.webp", "plain.gif", "rgb.bmp", "raw.tif"}) {
    SCOPED_TRACE(name);
    Bytes file = sample_media(name);
    const Pixels want = decode_image(file, name);
    for (int i = 0; i < 100; ++i) file.push_back(static_cast<std::uint8_t>(i));
    EXPECT_EQ(decode_image(file, name).rgb, want.rgb);
  }
}

TEST(DecodeImage, FormatsThatItCannotReadAreNamed) {
  EXPECT_EQ(picture_error(bytes_of(std::string_view("\0\0\0\x18"
                                                    "ftypheic\0\0\0\0mif1heic",
                                                    24))),
            "picture: looks like HEIC, which g3n cannot read; convert it to JPEG or PNG");
  EXPECT_THAT(picture_error(bytes_of(std::string_view("\0\0\0\x18"
                                                      "ftypmif1\0\0\0\0mif1avif",
                                                      24))),
              HasSubstr("looks like AVIF"));
  EXPECT_THAT(picture_error(bytes_of("\xFF\x0A 123456789")), HasSubstr("JPEG XL"));
  EXPECT_THAT(picture_error(bytes_of("<?xml version=\"1.0\"?>\n<svg xmlns=\"http://www.w3.org/2000/svg\"/>")),
              HasSubstr("looks like SVG"));
  EXPECT_THAT(picture_error(bytes_of("%PDF-1.7\n%")),
              HasSubstr("expected an image, found what looks like a PDF document"));
  EXPECT_THAT(picture_error(bytes_of("<!DOCTYPE html><html><body>404</body></html>")), HasSubstr("an HTML page"));
  EXPECT_THAT(picture_error(bytes_of("hello, this is text\n")), HasSubstr("a text file"));
  EXPECT_THAT(picture_error(bytes_of("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")),
              HasSubstr("git-lfs pointer"));
  EXPECT_THAT(picture_error(sample_media("u8.wav")), HasSubstr("expected an image, found what looks like WAV sound"));
  EXPECT_THAT(picture_error({}), HasSubstr("empty file"));
  EXPECT_THAT(picture_error(sample_media("float_refused.tif")),
              HasSubstr("a TIFF image with sample format 3, which g3n cannot read"));
  EXPECT_THAT(picture_error(sample_media("jpeg_refused.tif")),
              HasSubstr("a TIFF image with compression 7, which g3n cannot read"));
  EXPECT_THAT(picture_error(bytes_of(std::string_view("II+\0\x08\0\0\0", 8))), HasSubstr("looks like BigTIFF"));
  EXPECT_THAT(picture_error({1, 2, 3, 0, 200}), HasSubstr("unknown format"));
}

void put_big(Bytes* file, std::size_t at, std::uint32_t value) {
  for (int i = 0; i < 4; ++i) (*file)[at + i] = static_cast<std::uint8_t>(value >> (24 - 8 * i));
}

TEST(DecodeImage, TooLargeIsRefusedFromTheHeader) {
  Bytes png = sample_media("rgb16.png");
  put_big(&png, 16, 16385);
  EXPECT_EQ(
      picture_error(png),
      "picture: the image is too large: expected at most 16384 pixels a side and 50 million pixels, found 16385 x 16");
  put_big(&png, 16, 10000);
  put_big(&png, 20, 5001);
  EXPECT_THAT(picture_error(png), HasSubstr("found 10000 x 5001"));
  put_big(&png, 16, 0);
  EXPECT_THAT(picture_error(png), HasSubstr("positive size"));
  put_big(&png, 16, 0x7FFFFFFF);
  put_big(&png, 20, 0x7FFFFFFF);
  EXPECT_THAT(picture_error(png), HasSubstr("too large"));
  EXPECT_THAT(picture_error(bytes_of("P6 20000 20000 255\n...")), HasSubstr("too large"));
  EXPECT_THAT(picture_error(bytes_of(std::string_view("GIF89a\xFF\xFF\xFF\xFF\0\0\0;", 14))),
              HasSubstr("65535 x 65535"));
  Bytes bmp = sample_media("rgb.bmp");
  bmp[20] = 1;  // width 65560
  EXPECT_THAT(picture_error(bmp), HasSubstr("found 65560 x 16"));
  Bytes jpeg = sample_media("subsampled.jpg");
  for (std::size_t i = 0; i + 8 < jpeg.size(); ++i) {
    if (jpeg[i] == 0xFF && jpeg[i + 1] == 0xC0) jpeg[i + 5] = jpeg[i + 7] = 0xFF;
  }
  EXPECT_THAT(picture_error(jpeg), HasSubstr("too large"));
}

TEST(DecodeImage, LowerLimits) {
  const auto found = [](const std::string& name, const DecodeLimits& limits) -> std::string {
    try {
      decode_image(sample_media(name), "picture", limits);
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  };
  const Pixels png = decode_image(sample_media("rgb16.png"), "picture");
  const std::int64_t side = std::max(png.width, png.height), pixels = std::int64_t{png.width} * png.height;
  EXPECT_EQ(found("rgb16.png", {.image_side = side, .image_pixels = pixels, .decode_seconds = 60}), "no error");
  EXPECT_THAT(found("rgb16.png", {.image_side = side - 1}),
              HasSubstr("at most " + std::to_string(side - 1) + " pixels a side and 50 million pixels"));
  EXPECT_THAT(found("rgb16.png", {.image_pixels = pixels - 1}),
              HasSubstr("and " + std::to_string(pixels - 1) + " pixels, found"));
  for (const char* name : {"rgb16.png", "subsampled.jpg"})
    EXPECT_THAT(found(name, {.decode_seconds = 1e-9}), HasSubstr("picture: it takes too long to decode"));
}

bool is_picture(const std::filesystem::path& path) {
  for (const char* kind : {".jpg", ".png", ".webp", ".gif", ".bmp", ".tif", ".ico", ".ppm", ".pgm", ".pbm"}) {
    if (path.extension() == kind) return true;
  }
  return false;
}

TEST(DecodeImage, CutFilesAreErrors) {
  int cuts = 0;
  for (const auto& path : testing::media_files(testing::sample_media_folder())) {
    if (!is_picture(path)) continue;
    const Bytes whole = testing::read_bytes(path);
    for (const double part : {0.1, 0.5, 0.9, 0.97}) {
      SCOPED_TRACE(path.filename().string() + " " + std::to_string(part));
      const auto size = static_cast<std::ptrdiff_t>(part * static_cast<double>(whole.size()));
      EXPECT_THROW(decode_image(Bytes(whole.begin(), whole.begin() + size), "cut"), Error);
      ++cuts;
    }
  }
  EXPECT_GT(cuts, 180);
  const Bytes jpeg = sample_media("subsampled.jpg");
  EXPECT_THAT(picture_error(Bytes(jpeg.begin(), jpeg.end() - 40)),
              HasSubstr("picture: the JPEG image is cut or corrupt: "));
}

TEST(Exif, OrientationOfDamagedData) {
  using media::exif_orientation;
  const Bytes good = bytes_of(std::string_view("II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0", 22));
  EXPECT_EQ(exif_orientation(good), 6);
  for (std::size_t size = 0; size < 20; ++size) EXPECT_EQ(exif_orientation(media::Bytes(good).first(size)), 1) << size;
  Bytes far = good;
  put_big(&far, 4, 0xFFFFFFFF);
  EXPECT_EQ(exif_orientation(far), 1);
  Bytes nine = good;
  nine[18] = 9;
  EXPECT_EQ(exif_orientation(nine), 1);
}

}  // namespace
}  // namespace g3n

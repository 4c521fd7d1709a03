// decode_image: recognise, decode, turn upright.
#include "media/image.h"

#include <algorithm>
#include <new>

#include "g3n/error.h"
#include "media/exif.h"
#include "media/image_decoders.h"
#include "media/sniff.h"

namespace g3n {
namespace media {

namespace {

// "50 million", "2500000".
std::string pixels_text(std::int64_t pixels) {
  constexpr std::int64_t kMillion = 1'000'000;
  return pixels % kMillion == 0 ? std::to_string(pixels / kMillion) + " million" : std::to_string(pixels);
}

}  // namespace

void check_image_size(std::int64_t width, std::int64_t height, const ImageTask& task) {
  if (width <= 0 || height <= 0) {
    throw Error(ErrorCode::kBadFile, task.name + ": expected an image with a positive size, found " +
                                         std::to_string(width) + " x " + std::to_string(height));
  }
  const std::int64_t side = task.limits.image_side, pixels = task.limits.image_pixels;
  if (width <= side && height <= side && width * height <= pixels) return;
  throw Error(ErrorCode::kUnsupported, task.name + ": the image is too large: expected at most " +
                                           std::to_string(side) + " pixels a side and " + pixels_text(pixels) +
                                           " pixels, found " + std::to_string(width) + " x " + std::to_string(height));
}

Pixels make_pixels(std::int64_t width, std::int64_t height) {
  Pixels pixels;
  pixels.width = static_cast<int>(width);
  pixels.height = static_cast<int>(height);
  pixels.rgb.resize(static_cast<std::size_t>(width) * height * 3);
  return pixels;
}

void throw_bad_image(const ImageTask& task, const char* format, const std::string& why) {
  throw Error(ErrorCode::kBadFile, task.name + ": the " + format + " image is cut or corrupt: " + why);
}

namespace {

// Where pixel (0, 0) of the upright picture lies in the stored one, and the steps to its right and lower neighbour, in
// pixels.
struct Walk {
  std::int64_t start, right, down;
};

Walk upright_walk(int orientation, std::int64_t width, std::int64_t height) {
  const std::int64_t right_end = width - 1, bottom = (height - 1) * width;
  switch (orientation) {
    case 2: return {right_end, -1, width};            // mirrored
    case 3: return {bottom + right_end, -1, -width};  // upside down
    case 4: return {bottom, 1, -width};               // mirrored upside down
    case 5: return {0, width, 1};                     // transposed
    case 6: return {bottom, -width, 1};               // to be turned clockwise
    case 7: return {bottom + right_end, -width, -1};  // transposed along the other diagonal
    case 8: return {right_end, width, -1};            // to be turned counterclockwise
    default: return {0, 1, width};
  }
}

// Turns a stored picture upright, as EXIF orientation 1..8 says.
Pixels turn_upright(Pixels stored, int orientation) {
  if (orientation <= 1) return stored;
  const bool swapped = orientation >= 5;
  Pixels out = make_pixels(swapped ? stored.height : stored.width, swapped ? stored.width : stored.height);
  const Walk walk = upright_walk(orientation, stored.width, stored.height);
  std::uint8_t* to = out.rgb.data();
  for (std::int64_t y = 0; y < out.height; ++y) {
    const std::uint8_t* from = stored.rgb.data() + 3 * (walk.start + y * walk.down);
    for (int x = 0; x < out.width; ++x, to += 3, from += 3 * walk.right) std::copy_n(from, 3, to);
  }
  return out;
}

[[noreturn]] void throw_not_an_image(const FormatInfo& found, const std::string& name) {
  if (found.format == Format::kEmpty)
    throw Error(ErrorCode::kBadFile, name + ": expected an image, found an empty file");
  if (found.kind == MediaKind::kImage) {
    throw Error(ErrorCode::kUnsupported,
                name + ": looks like " + found.name + ", which g3n cannot read; convert it to JPEG or PNG");
  }
  if (found.format == Format::kUnknown) {
    throw Error(
        ErrorCode::kBadFile,
        name + ": expected an image (JPEG, PNG, WebP, GIF, BMP, TIFF, PPM or ICO), found a file of unknown format");
  }
  throw Error(ErrorCode::kBadFile, name + ": expected an image, found what looks like " + found.name);
}

Pixels decode(Bytes file, const ImageTask& task) {
  const FormatInfo& found = sniff(file);
  switch (found.format) {
    case Format::kJpeg: return turn_upright(decode_jpeg(file, task), exif_orientation(find_exif_in_jpeg(file)));
    case Format::kPng: return turn_upright(decode_png(file, task), exif_orientation(find_exif_in_png(file)));
    case Format::kWebp: return turn_upright(decode_webp(file, task), exif_orientation(find_exif_in_webp(file)));
    case Format::kTiff: return turn_upright(decode_tiff(file, task), exif_orientation(file));
    case Format::kGif: return decode_gif(file, task);
    case Format::kBmp: return decode_bmp(file, task);
    case Format::kPnm: return decode_pnm(file, task);
    case Format::kIco: return decode_ico(file, task);
    default: throw_not_an_image(found, task.name);
  }
}

}  // namespace
}  // namespace media

Pixels decode_image(std::span<const std::uint8_t> bytes, const std::string& name, const DecodeLimits& limits) try {
  const media::DecodeClock clock(limits.decode_seconds);
  return media::decode(bytes, {name, limits, clock});
} catch (const std::bad_alloc&) {
  throw Error(ErrorCode::kOutOfMemory, name + ": not enough memory to decode the image");
}

}  // namespace g3n

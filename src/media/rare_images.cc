// BMP, PPM and ICO: headers are read here, so that sizes are checked and cut files noticed before FFmpeg decodes.
#include <algorithm>
#include <string>
#include <vector>

#include "media/ffmpeg_image.h"
#include "media/image_decoders.h"

namespace g3n::media {
namespace {

// Reads a PNM header: numbers and words between white space and # comments.
class PnmHeader {
 public:
  explicit PnmHeader(Bytes file) : file_(file) {}
  std::string next_word() {
    skip_space();
    std::string word;
    while (at_ < file_.size() && !is_space(file_[at_]) && word.size() < 16) word += static_cast<char>(file_[at_++]);
    return word;
  }
  std::int64_t next_number() {
    const std::string word = next_word();
    std::int64_t value = 0;
    for (const char c : word) {
      if (c < '0' || c > '9' || value > 1'000'000'000) return 0;
      value = 10 * value + (c - '0');
    }
    return value;
  }

 private:
  static bool is_space(std::uint8_t c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
  void skip_space() {
    while (at_ < file_.size() && (is_space(file_[at_]) || file_[at_] == '#')) {
      if (file_[at_] == '#') {
        while (at_ < file_.size() && file_[at_] != '\n') ++at_;
      } else {
        ++at_;
      }
    }
  }
  Bytes file_;
  std::size_t at_ = 0;
};

AVCodecID pnm_codec(char kind) {
  switch (kind) {
    case '1':
    case '4': return AV_CODEC_ID_PBM;
    case '2':
    case '5': return AV_CODEC_ID_PGM;
    case '7': return AV_CODEC_ID_PAM;
    default: return AV_CODEC_ID_PPM;
  }
}

constexpr std::size_t kBmpHeaderBytes = 14;

// A picture inside an ICO: a BMP without its file header, of twice the height because the mask follows the colours.
std::vector<std::uint8_t> bmp_of_ico(Bytes dib, const ImageTask& task) {
  ByteReader read(dib, Endian::kLittle);
  const std::uint32_t header = read.u32(0), height = read.u32(8), bits = read.u16(14);
  std::uint32_t colours = read.u32(32);
  if (read.failed() || header < 40 || header > dib.size() || colours > 256)
    throw_bad_image(task, "ICO", "a damaged entry");
  if (colours == 0 && bits <= 8) colours = 1u << bits;
  std::vector<std::uint8_t> bmp(kBmpHeaderBytes);
  bmp.insert(bmp.end(), dib.begin(), dib.end());
  const auto put = [&](std::size_t at, std::uint32_t value) {
    for (std::size_t i = 0; i < 4; ++i) bmp[at + i] = static_cast<std::uint8_t>(value >> (8 * i));
  };
  bmp[0] = 'B', bmp[1] = 'M';
  put(2, static_cast<std::uint32_t>(bmp.size()));
  put(10, static_cast<std::uint32_t>(kBmpHeaderBytes + header + 4 * colours));
  put(kBmpHeaderBytes + 8, height / 2);
  put(kBmpHeaderBytes + 20, 0);  // the size of the data: it included the mask
  return bmp;
}

}  // namespace

Pixels decode_bmp(Bytes file, const ImageTask& task) {
  constexpr std::int64_t kPlain = 0, kBitFields = 3;
  ByteReader read(file, Endian::kLittle);
  const bool old = read.u32(14) == 12;
  const std::int64_t width = old ? read.u16(18) : static_cast<std::int32_t>(read.u32(18));
  const std::int64_t height = old ? read.u16(20) : static_cast<std::int32_t>(read.u32(22));
  if (read.failed()) throw_bad_image(task, "BMP", "unexpected end of file");
  const std::int64_t rows = height < 0 ? -height : height;  // negative: rows from the top
  check_image_size(width, rows, task);
  const std::int64_t bits = read.u16(old ? 24 : 28), compression = old ? 0 : read.u32(30);
  const bool packed = compression != kPlain && compression != kBitFields;
  const std::int64_t needed = read.u32(10) + (rows - 1) * ((width * bits + 31) / 32 * 4) + (width * bits + 7) / 8;
  if (!packed && needed > static_cast<std::int64_t>(file.size()))
    throw_bad_image(task, "BMP", "unexpected end of file");
  return decode_by_ffmpeg({file, AV_CODEC_ID_BMP, "BMP", task});
}

Pixels decode_pnm(Bytes file, const ImageTask& task) {
  PnmHeader header(file);
  const std::string magic = header.next_word();
  std::int64_t width = 0, height = 0;
  if (magic == "P7") {
    for (std::string word = header.next_word(); !word.empty() && word != "ENDHDR"; word = header.next_word()) {
      if (word == "WIDTH") width = header.next_number();
      if (word == "HEIGHT") height = header.next_number();
    }
  } else {
    width = header.next_number();
    height = header.next_number();
  }
  check_image_size(width, height, task);
  return decode_by_ffmpeg({file, pnm_codec(static_cast<char>(file[1])), "PPM", task});
}

Pixels decode_ico(Bytes file, const ImageTask& task) {
  ByteReader read(file, Endian::kLittle);
  const std::size_t entries = read.u16(4);
  std::size_t best = 0;
  int best_area = -1;
  for (std::size_t i = 0; i < entries && !read.failed(); ++i) {
    const int width = read.u8(6 + 16 * i), height = read.u8(7 + 16 * i);
    const int area = (width ? width : 256) * (height ? height : 256);
    if (area > best_area) best = i, best_area = area;
  }
  const std::size_t count = read.u32(6 + 16 * best + 8), start = read.u32(6 + 16 * best + 12);
  if (entries == 0 || read.failed() || start > file.size() || count > file.size() - start)
    throw_bad_image(task, "ICO", "unexpected end of file");
  const Bytes entry = file.subspan(start, count);
  if (has_text(entry, 0, "\x89PNG")) return decode_png(entry, task);
  return decode_bmp(bmp_of_ico(entry, task), task);
}

}  // namespace g3n::media

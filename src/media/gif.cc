// GIF, first frame, by a decoder of our own: FFmpeg's hides what a cut file lacks, and blends colours that Pillow
// keeps. As Pillow: outside the first frame the canvas holds the transparent colour if there is one, else colour 0;
// transparency itself is dropped.
#include <array>

#include "media/image_decoders.h"

namespace g3n::media {
namespace {

constexpr int kMaxCodes = 4096;

struct Palette {
  Bytes rgb;  // [colours, 3]
};

class GifReader {
 public:
  GifReader(Bytes file, const ImageTask& task) : read_(file, Endian::kLittle), file_(file), task_(task) {}

  Pixels first_frame() {
    const std::int64_t width = read_.u16(6), height = read_.u16(8);
    const std::uint8_t flags = read_.u8(10);
    at_ = 13;
    if (flags & 0x80) global_ = take_palette(flags);
    check("the header");
    check_image_size(width, height, task_);
    bool found = false;
    Pixels pixels;
    while (true) {  // the whole structure is walked, so that a cut file is noticed wherever it ends
      const std::uint8_t block = read_.u8(at_++);
      check("the blocks");
      if (block == 0x3B) break;
      if (block == 0x21) {
        read_extension(!found);
      } else if (block == 0x2C) {
        if (!found) pixels = make_pixels(width, height);
        read_image(found ? nullptr : &pixels);
        found = true;
      } else if (block != 0) {  // zeros between blocks occur
        throw_bad_image(task_, "GIF", "unknown block " + std::to_string(block) + " at byte " + std::to_string(at_ - 1));
      }
    }
    if (!found) throw_bad_image(task_, "GIF", "it holds no picture");
    return pixels;
  }

 private:
  struct Frame {
    int left, top, width, height;
    bool interlaced;
    Palette palette;
  };

  void check(const char* where) {
    if (read_.failed() || at_ > file_.size())
      throw_bad_image(task_, "GIF", std::string("unexpected end of file in ") + where);
  }

  Palette take_palette(std::uint8_t flags) {
    const std::size_t bytes = std::size_t{3} << ((flags & 7) + 1);
    const Bytes rgb = slice(file_, at_, bytes);
    at_ += bytes;
    check("a colour table");
    return {rgb};
  }

  void read_extension(bool before_first_frame) {
    const std::uint8_t label = read_.u8(at_++);
    if (label == 0xF9 && before_first_frame) transparent_ = read_.u8(at_ + 1) & 1 ? read_.u8(at_ + 4) : -1;
    take_sub_blocks(nullptr);
  }

  void take_sub_blocks(std::vector<std::uint8_t>* data) {
    while (true) {
      const std::size_t count = read_.u8(at_++);
      check("a data block");
      if (count == 0) return;
      const Bytes block = slice(file_, at_, count);
      at_ += count;
      check("a data block");
      if (data) data->insert(data->end(), block.begin(), block.end());
    }
  }

  // pixels: the canvas of the first frame; null for a later one, which is only walked over.
  void read_image(Pixels* pixels) {
    Frame frame{read_.u16(at_), read_.u16(at_ + 2), read_.u16(at_ + 4), read_.u16(at_ + 6), false, global_};
    const std::uint8_t flags = read_.u8(at_ + 8);
    at_ += 9;
    frame.interlaced = flags & 0x40;
    if (flags & 0x80) frame.palette = take_palette(flags);
    const int code_bits = read_.u8(at_++);
    check("a picture");
    std::vector<std::uint8_t> data;
    take_sub_blocks(pixels ? &data : nullptr);
    if (!pixels) return;
    check_image_size(frame.width, frame.height, task_);
    if (code_bits < 1 || code_bits > 8)
      throw_bad_image(task_, "GIF", "codes of " + std::to_string(code_bits) + " bits");
    fill(pixels, frame.palette);
    paint(frame, unpack(data, code_bits, static_cast<std::size_t>(frame.width) * frame.height), pixels);
  }

  static const std::uint8_t* colour(const Palette& palette, int index) {
    static constexpr std::uint8_t kBlack[3] = {};
    return 3 * static_cast<std::size_t>(index) + 3 <= palette.rgb.size() ? palette.rgb.data() + 3 * index : kBlack;
  }

  void fill(Pixels* pixels, const Palette& palette) {
    const std::uint8_t* rgb = colour(palette, transparent_ >= 0 ? transparent_ : 0);
    for (std::size_t i = 0; i < pixels->rgb.size(); ++i) pixels->rgb[i] = rgb[i % 3];
  }

  // LZW with codes that grow from code_bits + 1 to 12 bits, least significant bit first.
  std::vector<std::uint8_t> unpack(const std::vector<std::uint8_t>& data, int code_bits, std::size_t want) {
    struct Entry {
      std::int16_t prefix;
      std::uint8_t last, first;
    };
    std::array<Entry, kMaxCodes> table;
    const int clear = 1 << code_bits, end = clear + 1;
    for (int i = 0; i < clear; ++i) table[i] = {-1, static_cast<std::uint8_t>(i), static_cast<std::uint8_t>(i)};
    int next = end + 1, bits = code_bits + 1, previous = -1, available = 0;
    std::uint32_t buffer = 0;
    std::vector<std::uint8_t> out, reversed;
    out.reserve(want);
    for (const std::uint8_t byte : data) {
      if (out.size() >= want) break;
      buffer |= std::uint32_t{byte} << available;
      available += 8;
      while (available >= bits && out.size() < want) {
        const int code = static_cast<int>(buffer & ((1u << bits) - 1));
        buffer >>= bits;
        available -= bits;
        if (code == clear) {
          next = end + 1, bits = code_bits + 1, previous = -1;
          continue;
        }
        if (code == end) throw_bad_image(task_, "GIF", "its data ends too early");
        if (code > next || (code == next && previous < 0) || (previous < 0 && code > end))
          throw_bad_image(task_, "GIF", "an impossible code");
        const bool fresh = code == next;  // the string just being defined: the previous one and its own first byte
        reversed.clear();
        if (fresh) reversed.push_back(table[previous].first);
        for (int c = fresh ? previous : code; c >= 0; c = table[c].prefix) reversed.push_back(table[c].last);
        if (previous >= 0 && next < kMaxCodes) {
          table[next++] = {static_cast<std::int16_t>(previous), reversed.back(), table[previous].first};
          if (next == 1 << bits && bits < 12) ++bits;
        }
        previous = code;
        out.insert(out.end(), reversed.rbegin(), reversed.rend());
      }
    }
    if (out.size() < want) throw_bad_image(task_, "GIF", "its data ends too early");
    return out;
  }

  static void paint(const Frame& frame, const std::vector<std::uint8_t>& indices, Pixels* pixels) {
    static constexpr struct { int first, step; } kPasses[4] = {{0, 8}, {4, 8}, {2, 4}, {1, 2}};
    std::size_t row = 0;
    for (const auto& pass : kPasses) {
      const int step = frame.interlaced ? pass.step : 1;
      for (int y = frame.interlaced ? pass.first : 0; y < frame.height; y += step, ++row) {
        if (frame.top + y >= pixels->height) continue;
        for (int x = 0; x < frame.width && frame.left + x < pixels->width; ++x) {
          const std::uint8_t* rgb = colour(frame.palette, indices[row * frame.width + x]);
          std::uint8_t* to =
              pixels->rgb.data() + 3 * (static_cast<std::size_t>(frame.top + y) * pixels->width + frame.left + x);
          for (int c = 0; c < 3; ++c) to[c] = rgb[c];
        }
      }
      if (!frame.interlaced) return;
    }
  }

  ByteReader read_;
  Bytes file_;
  const ImageTask& task_;
  std::size_t at_ = 0;
  int transparent_ = -1;
  Palette global_;
};

}  // namespace

Pixels decode_gif(Bytes file, const ImageTask& task) { return GifReader(file, task).first_frame(); }

}  // namespace g3n::media

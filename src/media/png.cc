// PNG by libpng: every colour type, depth and interlacing to 8-bit RGB. Alpha and tRNS are dropped, gamma is ignored,
// as Pillow's convert("RGB"). libpng reports errors by longjmp, so each step is a method without C++ objects in its
// frame; what must be freed belongs to the class.
#include <csetjmp>
#include <cstdio>
#include <cstring>

#include <png.h>

#include "media/image_decoders.h"

namespace g3n::media {
namespace {

class PngDecoder {
 public:
  PngDecoder(Bytes file, const DecodeClock& clock) : file_(file), clock_(clock) {
    png_ = png_create_read_struct(PNG_LIBPNG_VER_STRING, this, &PngDecoder::fail, &PngDecoder::ignore_warning);
    info_ = png_ ? png_create_info_struct(png_) : nullptr;
  }
  PngDecoder(const PngDecoder&) = delete;
  PngDecoder& operator=(const PngDecoder&) = delete;
  ~PngDecoder() { png_destroy_read_struct(&png_, &info_, nullptr); }

  bool ready() const { return info_ != nullptr; }

  bool read_header() {
    if (setjmp(png_jmpbuf(png_))) return false;
    png_set_read_fn(png_, this, &PngDecoder::read);
    png_set_read_status_fn(png_, &PngDecoder::look_at_clock);
    png_set_keep_unknown_chunks(png_, PNG_HANDLE_CHUNK_NEVER, nullptr,
                                -1);  // profiles and texts: skipped, never unpacked
    png_read_info(png_, info_);
    png_set_expand_gray_1_2_4_to_8(png_);
    if (png_get_color_type(png_, info_) == PNG_COLOR_TYPE_PALETTE) png_set_palette_to_rgb(png_);
    png_set_strip_16(png_);
    png_set_strip_alpha(png_);
    png_set_gray_to_rgb(png_);
    png_set_interlace_handling(png_);
    png_read_update_info(png_, info_);
    return true;
  }

  bool read_pixels(png_bytepp rows) {
    if (setjmp(png_jmpbuf(png_))) return false;
    png_read_image(png_, rows);
    png_read_end(png_, nullptr);
    return true;
  }

  std::int64_t width() const { return png_get_image_width(png_, info_); }
  std::int64_t height() const { return png_get_image_height(png_, info_); }
  std::size_t row_bytes() const { return png_get_rowbytes(png_, info_); }
  const char* message() const { return message_; }

 private:
  static void fail(png_structp png, png_const_charp message) {
    auto* self = static_cast<PngDecoder*>(png_get_error_ptr(png));
    std::snprintf(self->message_, sizeof self->message_, "%s", message);
    png_longjmp(png, 1);
  }
  static void ignore_warning(png_structp, png_const_charp) {}
  static void read(png_structp png, png_bytep out, std::size_t count) {
    auto* self = static_cast<PngDecoder*>(png_get_io_ptr(png));
    if (count > self->file_.size() - self->at_) png_error(png, "unexpected end of file");
    std::memcpy(out, self->file_.data() + self->at_, count);
    self->at_ += count;
  }

  // Behind each row of each pass.
  static void look_at_clock(png_structp png, png_uint_32, int) {
    if (static_cast<PngDecoder*>(png_get_error_ptr(png))->clock_.is_over()) png_error(png, "too slow");
  }

  Bytes file_;
  const DecodeClock& clock_;
  std::size_t at_ = 0;
  png_structp png_ = nullptr;
  png_infop info_ = nullptr;
  char message_[128] = "";
};

}  // namespace

Pixels decode_png(Bytes file, const ImageTask& task) {
  ByteReader read(file, Endian::kBig);
  const std::uint32_t width = read.u32(16), height = read.u32(20);
  if (read.failed() || !has_text(file, 12, "IHDR")) throw_bad_image(task, "PNG", "no IHDR chunk at the start");
  check_image_size(width, height, task);
  PngDecoder decoder(file, task.clock);
  if (!decoder.ready()) throw std::bad_alloc();
  if (!decoder.read_header()) throw_bad_image(task, "PNG", decoder.message());
  if (decoder.width() != width || decoder.height() != height || decoder.row_bytes() != std::size_t{3} * width) {
    throw_bad_image(task, "PNG", "the header contradicts itself");
  }
  Pixels pixels = make_pixels(width, height);
  std::vector<png_bytep> rows(height);
  for (std::size_t y = 0; y < height; ++y) rows[y] = pixels.rgb.data() + 3 * y * width;
  const bool is_good = decoder.read_pixels(rows.data());
  task.clock.check(task.name);
  if (!is_good) throw_bad_image(task, "PNG", decoder.message());
  return pixels;
}

}  // namespace g3n::media

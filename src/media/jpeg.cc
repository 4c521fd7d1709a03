// JPEG by libjpeg-turbo: baseline, progressive and arithmetic; gray, YCbCr, RGB, CMYK and YCCK.
// libjpeg reports errors by longjmp, so each step is a method without C++ objects in its frame; what must be freed
// belongs to the class.
#include <cstdio>  // before jpeglib.h, which needs FILE
#include <csetjmp>

#include <jerror.h>
#include <jpeglib.h>

#include "media/image_decoders.h"

namespace g3n::media {
namespace {

// A progressive file may repeat tiny scans over a huge picture; no encoder writes more than a few dozen.
constexpr int kMaxScans = 500;

struct ErrorManager {
  jpeg_error_mgr base;  // first, so that libjpeg's pointer is ours
  std::jmp_buf jump;
  char message[JMSG_LENGTH_MAX];
  const DecodeClock* clock;
};

void fail(j_common_ptr info) {
  auto* errors = reinterpret_cast<ErrorManager*>(info->err);
  info->err->format_message(info, errors->message);
  std::longjmp(errors->jump, 1);
}

// libjpeg goes on after damage and fills in gray; here damage is an error. Four warnings are about oddities that lose
// nothing.
void on_message(j_common_ptr info, int level) {
  if (level >= 0) return;
  const int code = info->err->msg_code;
  if (code == JWRN_EXTRANEOUS_DATA || code == JWRN_ADOBE_XFORM || code == JWRN_NOT_SEQUENTIAL ||
      code == JWRN_TOO_MUCH_DATA)
    return;
  fail(info);
}

void no_output(j_common_ptr) {}

void on_progress(j_common_ptr info) {
  auto* decoder = reinterpret_cast<j_decompress_ptr>(info);
  auto* errors = reinterpret_cast<ErrorManager*>(info->err);
  if (errors->clock->is_over()) std::longjmp(errors->jump, 1);
  if (decoder->input_scan_number <= kMaxScans) return;
  std::snprintf(errors->message, sizeof errors->message, "more than %d scans", kMaxScans);
  std::longjmp(errors->jump, 1);
}

// What Pillow makes of CMYK: files of four channels are stored inverted (Adobe's convention), so 255 - c and 255 - k
// come out of libjpeg.
void cmyk_to_rgb(const std::uint8_t* cmyk, std::uint8_t* rgb, int width) {
  for (int x = 0; x < width; ++x, cmyk += 4, rgb += 3) {
    const int white = cmyk[3];
    for (int c = 0; c < 3; ++c) {
      const int product = (255 - cmyk[c]) * white + 128;
      rgb[c] = static_cast<std::uint8_t>(white - ((product + (product >> 8)) >> 8));
    }
  }
}

class JpegDecoder {
 public:
  JpegDecoder(Bytes file, const DecodeClock& clock) : file_(file) {
    errors_.clock = &clock;
    info_.err = jpeg_std_error(&errors_.base);
    errors_.base.error_exit = fail;
    errors_.base.emit_message = on_message;
    errors_.base.output_message = no_output;
    progress_.progress_monitor = on_progress;
  }
  JpegDecoder(const JpegDecoder&) = delete;
  JpegDecoder& operator=(const JpegDecoder&) = delete;
  ~JpegDecoder() { jpeg_destroy_decompress(&info_); }

  bool read_header() {
    if (setjmp(errors_.jump)) return false;
    jpeg_create_decompress(&info_);
    info_.progress = &progress_;
    jpeg_mem_src(&info_, file_.data(), file_.size());
    jpeg_read_header(&info_, TRUE);
    return true;
  }

  // rgb: [height, width, 3]; cmyk_row: [width, 4].
  bool read_pixels(std::uint8_t* rgb, std::uint8_t* cmyk_row) {
    if (setjmp(errors_.jump)) return false;
    const bool cmyk = four_channels();
    info_.out_color_space = cmyk ? JCS_CMYK : JCS_RGB;
    jpeg_start_decompress(&info_);
    while (info_.output_scanline < info_.output_height) {
      std::uint8_t* to = rgb + std::size_t{3} * info_.output_width * info_.output_scanline;
      JSAMPROW row = cmyk ? cmyk_row : to;
      jpeg_read_scanlines(&info_, &row, 1);
      if (cmyk) cmyk_to_rgb(cmyk_row, to, static_cast<int>(info_.output_width));
    }
    jpeg_finish_decompress(&info_);
    return true;
  }

  bool four_channels() const { return info_.jpeg_color_space == JCS_CMYK || info_.jpeg_color_space == JCS_YCCK; }
  std::int64_t width() const { return info_.image_width; }
  std::int64_t height() const { return info_.image_height; }
  const char* message() const { return errors_.message; }

 private:
  Bytes file_;
  jpeg_decompress_struct info_{};
  ErrorManager errors_{};
  jpeg_progress_mgr progress_{};
};

}  // namespace

Pixels decode_jpeg(Bytes file, const ImageTask& task) {
  JpegDecoder decoder(file, task.clock);
  if (!decoder.read_header()) throw_bad_image(task, "JPEG", decoder.message());
  check_image_size(decoder.width(), decoder.height(), task);
  Pixels pixels = make_pixels(decoder.width(), decoder.height());
  std::vector<std::uint8_t> cmyk_row(decoder.four_channels() ? 4 * decoder.width() : 0);
  const bool is_good = decoder.read_pixels(pixels.rgb.data(), cmyk_row.data());
  task.clock.check(task.name);
  if (!is_good) throw_bad_image(task, "JPEG", decoder.message());
  return pixels;
}

}  // namespace g3n::media

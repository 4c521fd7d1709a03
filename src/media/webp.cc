// WebP by libwebp: lossy and lossless stills, and the first frame of an animation on its canvas. Alpha is dropped.
#include <memory>

#include <webp/decode.h>
#include <webp/demux.h>

#include "media/image_decoders.h"

namespace g3n::media {
namespace {

const char* status_text(VP8StatusCode status) {
  switch (status) {
    case VP8_STATUS_NOT_ENOUGH_DATA: return "unexpected end of file";
    case VP8_STATUS_BITSTREAM_ERROR: return "damaged data";
    case VP8_STATUS_UNSUPPORTED_FEATURE: return "an unknown feature";
    case VP8_STATUS_OUT_OF_MEMORY: return "not enough memory";
    default: return "libwebp cannot decode it";
  }
}

Pixels decode_animation(Bytes file, const WebPBitstreamFeatures& features, const ImageTask& task) {
  WebPAnimDecoderOptions options;
  if (!WebPAnimDecoderOptionsInit(&options)) throw_bad_image(task, "WebP", "libwebpdemux of another version");
  options.color_mode = MODE_RGBA;
  options.use_threads = 0;
  const WebPData data{file.data(), file.size()};
  const std::unique_ptr<WebPAnimDecoder, void (*)(WebPAnimDecoder*)> decoder(WebPAnimDecoderNew(&data, &options),
                                                                             WebPAnimDecoderDelete);
  std::uint8_t* rgba = nullptr;
  int timestamp = 0;
  WebPAnimInfo info{};
  if (!decoder || !WebPAnimDecoderGetInfo(decoder.get(), &info))
    throw_bad_image(task, "WebP", "the animation is incomplete");
  if (static_cast<int>(info.canvas_width) != features.width ||
      static_cast<int>(info.canvas_height) != features.height) {
    throw_bad_image(task, "WebP", "the animation contradicts its header");
  }
  if (!WebPAnimDecoderGetNext(decoder.get(), &rgba, &timestamp))
    throw_bad_image(task, "WebP", "the first frame is damaged");
  Pixels pixels = make_pixels(features.width, features.height);
  for (std::size_t i = 0; i < pixels.rgb.size() / 3; ++i) {
    for (std::size_t c = 0; c < 3; ++c) pixels.rgb[3 * i + c] = rgba[4 * i + c];
  }
  return pixels;
}

}  // namespace

Pixels decode_webp(Bytes file, const ImageTask& task) {
  WebPBitstreamFeatures features;
  const VP8StatusCode status = WebPGetFeatures(file.data(), file.size(), &features);
  if (status != VP8_STATUS_OK) throw_bad_image(task, "WebP", status_text(status));
  check_image_size(features.width, features.height, task);
  if (features.has_animation) return decode_animation(file, features, task);
  WebPDecoderConfig config;
  if (!WebPInitDecoderConfig(&config)) throw_bad_image(task, "WebP", "libwebp of another version");
  Pixels pixels = make_pixels(features.width, features.height);
  config.output.colorspace = MODE_RGB;
  config.output.is_external_memory = 1;
  config.output.u.RGBA = {pixels.rgb.data(), 3 * features.width, pixels.rgb.size()};
  const VP8StatusCode decoded = WebPDecode(file.data(), file.size(), &config);
  WebPFreeDecBuffer(&config.output);
  if (decoded != VP8_STATUS_OK) throw_bad_image(task, "WebP", status_text(decoded));
  return pixels;
}

}  // namespace g3n::media

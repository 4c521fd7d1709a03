#include "checkpoint/processor_config.h"

#include <cmath>

#include "g3n/error.h"

namespace g3n {
namespace {

constexpr int kMaxImageSide = 4096;

void read_image(const Config& c, ProcessorConfig& out) {
  const Config size = c.object("size");
  if (size.has("height") || size.has("width")) {
    out.image_height = static_cast<int>(size.integer("height", {}, 1, kMaxImageSide));
    out.image_width = static_cast<int>(size.integer("width", {}, 1, kMaxImageSide));
  }
  out.rescale_factor = static_cast<float>(c.number("rescale_factor", 1.0 / 255.0));
  if (c.boolean("do_normalize", false))
    throw Error(ErrorCode::kUnsupported,
                c.where() + ": do_normalize: expected false (Gemma 3n takes pixels in [0, 1]), found true");
  if (!c.boolean("do_resize", true) || !c.boolean("do_rescale", true))
    throw Error(ErrorCode::kUnsupported, c.where() + ": do_resize and do_rescale: expected true, found false");
  if (c.integer("resample", 2) != 2)
    throw Error(ErrorCode::kUnsupported,
                c.where() + ": resample: expected 2 (bilinear), found " + std::to_string(c.integer("resample")));
}

std::vector<float> floats(const Config& c, const std::string& key) {
  if (!c.has(key)) return {};
  const std::vector<double> values = c.numbers(key);
  return {values.begin(), values.end()};
}

void read_audio(const Config& c, MelConfig& m) {
  constexpr int64_t kMost = 1 << 20;
  auto integer = [&](const char* key, int& value) { value = static_cast<int>(c.integer(key, value, 1, kMost)); };
  integer("sampling_rate", m.sampling_rate);
  integer("feature_size", m.feature_size);
  integer("frame_length", m.frame_length);
  integer("hop_length", m.hop_length);
  integer("fft_length", m.fft_length);
  if (c.has("frame_length_ms"))
    m.frame_length = static_cast<int>(std::lround(m.sampling_rate * c.number("frame_length_ms") / 1000));
  if (c.has("hop_length_ms"))
    m.hop_length = static_cast<int>(std::lround(m.sampling_rate * c.number("hop_length_ms") / 1000));
  m.min_frequency = c.number("min_frequency", m.min_frequency);
  m.max_frequency = c.number("max_frequency", m.max_frequency);
  m.preemphasis = c.number("preemphasis", m.preemphasis);
  m.preemphasis_htk_flavor = c.boolean("preemphasis_htk_flavor", m.preemphasis_htk_flavor);
  m.mel_floor = c.number("mel_floor", m.mel_floor);
  m.input_scale_factor = c.number("input_scale_factor", m.input_scale_factor);
  m.per_bin_mean = floats(c, "per_bin_mean");
  m.per_bin_stddev = floats(c, "per_bin_stddev");
  if (m.sampling_rate != 16000)
    throw Error(ErrorCode::kUnsupported,
                c.where() + ": sampling_rate: expected 16000, found " + std::to_string(m.sampling_rate));
}

}  // namespace

ProcessorConfig ProcessorConfig::load(const FileSet& files) {
  ProcessorConfig out;
  const auto read = [&](const std::string& name) {
    return Config::parse(std::string(files.text(name)), files.path(name));
  };
  const std::string flat = "preprocessor_config.json", nested = "processor_config.json";
  if (files.has(flat)) {
    const Config c = read(flat);
    read_image(c, out);
    read_audio(c, out.mel);
  }
  if (files.has(nested)) {
    const Config c = read(nested);
    if (c.has("image_processor")) read_image(c.object("image_processor"), out);
    if (c.has("feature_extractor")) read_audio(c.object("feature_extractor"), out.mel);
  }
  return out;
}

}  // namespace g3n

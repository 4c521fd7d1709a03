#include "checkpoint/processor_config.h"

#include <cmath>

#include "g3n/error.h"
#include "g3n/message.h"
#include "json/writer.h"

namespace g3n {
namespace {

constexpr int64_t kMost = 1 << 20;  // of a length in samples

void read_image(const Config& c, ProcessorConfig& out) {
  const Config size = c.object("size");
  if (size.has("height") || size.has("width")) {
    out.image_height = static_cast<int>(size.integer("height", {}, kLeastImageSide, kMostImageSide));
    out.image_width = static_cast<int>(size.integer("width", {}, kLeastImageSide, kMostImageSide));
  }
  out.rescale_factor = static_cast<float>(c.number("rescale_factor", 1.0 / 255.0));
  if (!(out.rescale_factor > 0 && out.rescale_factor <= 1)) c.fail("rescale_factor", "a number above 0, at most 1");
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

// A length in milliseconds as samples.
int samples_of(const Config& c, const std::string& key, int sampling_rate) {
  const double samples = sampling_rate * c.number(key) / 1000;
  if (!(samples >= 0.5 && samples <= kMost)) c.fail(key, "a length of 1 to " + std::to_string(kMost) + " samples");
  return static_cast<int>(std::lround(samples));
}

void read_audio(const Config& c, MelConfig& m) {
  auto integer = [&](const char* key, int& value) { value = static_cast<int>(c.integer(key, value, 1, kMost)); };
  integer("sampling_rate", m.sampling_rate);
  integer("feature_size", m.feature_size);
  integer("frame_length", m.frame_length);
  integer("hop_length", m.hop_length);
  integer("fft_length", m.fft_length);
  if (c.has("frame_length_ms")) m.frame_length = samples_of(c, "frame_length_ms", m.sampling_rate);
  if (c.has("hop_length_ms")) m.hop_length = samples_of(c, "hop_length_ms", m.sampling_rate);
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
  try {
    check_mel_config(m);
  } catch (const Error& e) {
    throw Error(ErrorCode::kBadFile, c.where() + ": " + e.what());
  }
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

namespace {

JsonNode list_of(const std::vector<float>& values) {
  JsonList list;
  for (const float value : values) list.push_back({static_cast<double>(value)});
  return {std::move(list)};
}

}  // namespace

std::string ProcessorConfig::as_file() const {
  const auto n = [](int value) { return JsonNode{static_cast<int64_t>(value)}; };
  const JsonObject image = {{"size", {JsonObject{{"height", n(image_height)}, {"width", n(image_width)}}}},
                            {"rescale_factor", {static_cast<double>(rescale_factor)}}};
  JsonObject sound = {{"sampling_rate", n(mel.sampling_rate)},
                      {"feature_size", n(mel.feature_size)},
                      {"frame_length", n(mel.frame_length)},
                      {"hop_length", n(mel.hop_length)},
                      {"fft_length", n(mel.fft_length)},
                      {"min_frequency", {mel.min_frequency}},
                      {"max_frequency", {mel.max_frequency}},
                      {"preemphasis", {mel.preemphasis}},
                      {"preemphasis_htk_flavor", {mel.preemphasis_htk_flavor}},
                      {"mel_floor", {mel.mel_floor}},
                      {"input_scale_factor", {mel.input_scale_factor}}};
  if (!mel.per_bin_mean.empty()) sound.push_back({"per_bin_mean", list_of(mel.per_bin_mean)});
  if (!mel.per_bin_stddev.empty()) sound.push_back({"per_bin_stddev", list_of(mel.per_bin_stddev)});
  return to_json({JsonObject{{"image_processor", {image}}, {"feature_extractor", {std::move(sound)}}}}, {.indent = 2});
}

}  // namespace g3n

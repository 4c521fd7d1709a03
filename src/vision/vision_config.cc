#include "vision/vision_config.h"

#include "g3n/error.h"

namespace g3n {
namespace {

constexpr int64_t kMostChannels = 1 << 20;  // beyond it a number in a file is an accident

}  // namespace

VisionConfig VisionConfig::from(const Config& top) {
  const Config vision = top.object("vision_config");
  const Config args = vision.object("model_args");
  VisionConfig c;
  c.hidden_size = vision.integer("hidden_size", c.hidden_size, 1, kMostChannels);
  c.vocab_size = vision.integer("vocab_size", c.vocab_size, 1, kMostChannels);
  c.vocab_offset = vision.integer("vocab_offset", c.vocab_offset, 0, INT32_MAX);
  c.rms_norm_eps = static_cast<float>(vision.number("rms_norm_eps", 1e-6));
  if (!(c.rms_norm_eps > 0 && c.rms_norm_eps < 1)) vision.fail("rms_norm_eps", "a number between 0 and 1");
  const std::string architecture = vision.text("architecture", "mobilenetv5_300m_enc");
  if (architecture != "mobilenetv5_300m_enc")
    vision.fail("architecture", "\"mobilenetv5_300m_enc\", the only vision tower of Gemma 3n");
  if (vision.boolean("do_pooling", false)) vision.fail("do_pooling", "false: soft tokens are the unpooled map");

  c.channel_multiplier = args.number("channel_multiplier", c.channel_multiplier);
  if (!(c.channel_multiplier > 0 && c.channel_multiplier <= 64))
    args.fail("channel_multiplier", "a number above 0, at most 64");
  c.stem_size = args.integer("stem_size", c.stem_size, 1, kMostChannels);
  c.output_resolution = args.integer("msfa_output_resolution", c.output_resolution, 1, 1024);

  c.text_hidden_size = top.object("text_config").integer("hidden_size", c.text_hidden_size, 1, kMostChannels);
  const int64_t tokens = c.output_resolution * c.output_resolution;
  c.soft_tokens_per_image = top.integer("vision_soft_tokens_per_image", tokens, 1, kMostChannels);
  if (c.soft_tokens_per_image != tokens)
    top.fail("vision_soft_tokens_per_image", std::to_string(tokens) + ", the square of the tower's output resolution");
  return c;
}

}  // namespace g3n

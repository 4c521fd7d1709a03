// Numbers of the small files: those that nothing could be prepared with are refused where they are read, those that
// only say how to sample keep no model from loading.
#include <cmath>
#include <vector>

#include "audio/audio_config.h"
#include "audio/mel.h"
#include "checkpoint/generation_config.h"
#include "checkpoint/processor_config.h"
#include "support/errors.h"
#include "vision/vision_config.h"

namespace g3n::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

ProcessorConfig processor(const std::string& keys, const std::string& file = "preprocessor_config.json") {
  const TemporaryFolder folder;
  folder.write(file, keys);
  return ProcessorConfig::load(FileSet::folder(folder.path()));
}

// Clips of the longest and the shortest length through the whole front end.
void prepare_clips(const MelConfig& mel) {
  for (const int samples : {mel.frame_length + 1, mel.max_samples}) {
    const std::vector<float> pcm(static_cast<size_t>(samples), 0.25f);
    try {
      check_clip(mel, pcm, "clip");
      for (const float value : log_mel(mel, pcm).values) ASSERT_TRUE(std::isfinite(value));
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ErrorCode::kInvalidArgument) << e.what();
    }
  }
}

TEST(ProcessorConfig, NumbersThatDivideOrSizeAreRefused) {
  const struct {
    const char *keys, *key;
  } cases[] = {
      {R"({"hop_length_ms": 0})", "hop_length_ms"},
      {R"({"hop_length_ms": 0.01})", "hop_length_ms"},
      {R"({"hop_length_ms": -10})", "hop_length_ms"},
      {R"({"hop_length_ms": 1e300})", "hop_length_ms"},
      {R"({"hop_length_ms": NaN})", "hop_length_ms"},
      {R"({"hop_length": 0})", "hop_length"},
      {R"({"hop_length": 1, "feature_size": 4096})", "hop_length"},
      {R"({"frame_length_ms": 0})", "frame_length_ms"},
      {R"({"frame_length_ms": 1e18})", "frame_length_ms"},
      {R"({"frame_length_ms": Infinity})", "frame_length_ms"},
      {R"({"frame_length": 0})", "frame_length"},
      {R"({"frame_length": 2048})", "fft_length"},
      {R"({"frame_length_ms": 64.1})", "fft_length"},
      {R"({"fft_length": 500})", "fft_length"},
      {R"({"fft_length": 256})", "fft_length"},
      {R"({"fft_length": 1073741824})", "fft_length"},
      {R"({"feature_size": 0})", "feature_size"},
      {R"({"feature_size": 1000000})", "feature_size"},
      {R"({"mel_floor": 0})", "mel_floor"},
      {R"({"mel_floor": -1e-5})", "mel_floor"},
      {R"({"mel_floor": Infinity})", "mel_floor"},
      {R"({"min_frequency": -1})", "min_frequency"},
      {R"({"min_frequency": NaN})", "min_frequency"},
      {R"({"min_frequency": 7600, "max_frequency": 7600})", "max_frequency"},
      {R"({"min_frequency": 8000})", "max_frequency"},
      {R"({"max_frequency": Infinity})", "max_frequency"},
      {R"({"preemphasis": NaN})", "preemphasis"},
      {R"({"input_scale_factor": Infinity})", "input_scale_factor"},
      {R"({"per_bin_mean": [1, 2]})", "per_bin_mean"},
      {R"({"feature_size": 2, "per_bin_mean": [1, NaN]})", "per_bin_mean"},
      {R"({"feature_size": 2, "per_bin_stddev": [1, 0]})", "per_bin_stddev"},
      {R"({"size": {"height": 0, "width": 768}})", "height"},
      {R"({"size": {"height": 768, "width": 100000}})", "width"},
      {R"({"size": {"height": 768}})", "width"},
      {R"({"rescale_factor": 0})", "rescale_factor"},
      {R"({"rescale_factor": NaN})", "rescale_factor"},
      {R"({"rescale_factor": 1e30})", "rescale_factor"},
  };
  for (const auto& one : cases) {
    EXPECT_ERROR(ErrorCode::kBadFile, processor(one.keys), "preprocessor_config.json",
                 std::string(one.key) + ": expected");
    const std::string part = std::string(one.keys).find("size\": {") != std::string::npos ||
                                     std::string(one.keys).find("rescale") != std::string::npos
                                 ? "image_processor"
                                 : "feature_extractor";
    EXPECT_ERROR(ErrorCode::kBadFile, processor("{\"" + part + "\": " + one.keys + "}", "processor_config.json"), part,
                 std::string(one.key) + ": expected");
  }
}

TEST(ProcessorConfig, WhateverIsTakenCanPrepareClips) {
  for (const char* keys :
       {"{}", R"({"hop_length_ms": 10.0, "frame_length_ms": 32.0, "fft_length": 1024})", R"({"hop_length": 1048576})",
        R"({"hop_length": 100, "feature_size": 1})", R"({"frame_length": 1, "fft_length": 4, "feature_size": 1})",
        R"({"min_frequency": 0, "max_frequency": 1, "feature_size": 64, "hop_length": 4000})",
        R"({"max_frequency": 100000, "hop_length": 4000})", R"({"preemphasis": 0, "mel_floor": 1e-300})",
        R"({"feature_size": 4096, "hop_length": 16000})"})
    prepare_clips(processor(keys).mel);
}

// Structures that no file made are checked where they are used.
TEST(MelConfig, ClipsOfAConfigThatMakesNoSenseAreRefused) {
  const std::vector<float> pcm(16000, 0.25f);
  MelConfig no_hop, no_padding;
  no_hop.hop_length = 0;
  no_padding.pad_to_multiple_of = 0;
  EXPECT_ERROR(ErrorCode::kInvalidArgument, check_clip(no_hop, pcm, "clip"), "hop_length");
  EXPECT_ERROR(ErrorCode::kInvalidArgument, check_clip(no_padding, pcm, "clip"), "pad_to_multiple_of");
  EXPECT_ERROR(ErrorCode::kInvalidArgument, log_mel(no_hop, pcm), "hop_length");
}

TEST(TowerConfigs, NumbersThatDivideAreRefused) {
  const auto audio = [](const std::string& keys) {
    return AudioConfig::from(Config::parse(R"({"audio_config": {)" + keys + "}}", "config.json"));
  };
  for (const char* key : {"rms_norm_eps", "sscp_conv_group_norm_eps", "conf_attention_logit_cap", "gradient_clipping"})
    for (const char* value : {"0", "-1", "NaN", "Infinity", "1e-300", "1e300"})
      EXPECT_ERROR(ErrorCode::kBadFile, audio("\"" + std::string(key) + "\": " + value), "audio_config", key);
  EXPECT_ERROR(ErrorCode::kBadFile, audio(R"("rms_norm_eps": 2)"), "rms_norm_eps");
  EXPECT_ERROR(ErrorCode::kBadFile, audio(R"("conf_residual_weight": NaN)"), "conf_residual_weight");
  EXPECT_ERROR(ErrorCode::kBadFile, audio(R"("conf_reduction_factor": 0)"), "conf_reduction_factor");
  EXPECT_ERROR(ErrorCode::kBadFile, audio(R"("sscp_conv_stride_size": [[0, 2], [2, 2]])"), "sscp_conv_stride_size");
  const auto vision = [](const std::string& keys) {
    return VisionConfig::from(Config::parse(R"({"vision_config": {)" + keys + "}}", "config.json"));
  };
  for (const char* value : {"0", "NaN", "1e-300", "1"})
    EXPECT_ERROR(ErrorCode::kBadFile, vision(std::string(R"("rms_norm_eps": )") + value), "rms_norm_eps");
  EXPECT_ERROR(ErrorCode::kBadFile, vision(R"("model_args": {"channel_multiplier": 0})"), "channel_multiplier");
  EXPECT_ERROR(ErrorCode::kBadFile, vision(R"("model_args": {"msfa_output_resolution": 0})"), "msfa_output_resolution");
}

GenerationConfig generation(const std::string& keys) {
  const TemporaryFolder folder;
  folder.write("generation_config.json", keys);
  return GenerationConfig::load(FileSet::folder(folder.path()), Config::empty("config.json"));
}

TEST(GenerationConfig, ValuesThatMeanNothingAreReplacedAndTold) {
  const struct {
    const char *keys, *warned;  // "" : silently
    Sampling want;
  } cases[] = {
      {"{}", "", {}},
      {R"({"do_sample": false, "top_p": 0.0})", "top_p", {.temperature = 0, .top_p = 1}},
      {R"({"top_k": -1})", "", {.top_k = 0}},
      {R"({"top_k": 0})", "", {.top_k = 0}},
      {R"({"top_k": 1e12})", "", {.top_k = 0}},
      {R"({"top_k": 2.5})", "top_k", {.top_k = 0}},
      {R"({"top_p": 1.5})", "top_p", {.top_p = 1}},
      {R"({"top_p": NaN})", "top_p", {.top_p = 1}},
      {R"({"min_p": -0.1})", "min_p", {.min_p = 0}},
      {R"({"min_p": 0.2, "top_k": 5, "top_p": 0.5})", "", {.top_k = 5, .top_p = 0.5, .min_p = 0.2}},
      {R"({"temperature": -1})", "temperature", {.temperature = 1}},
      {R"({"temperature": Infinity})", "temperature", {.temperature = 1}},
      {R"({"do_sample": false, "temperature": -1})", "temperature", {.temperature = 0}},
      {R"({"repetition_penalty": 0})", "repetition_penalty", {.repetition_penalty = 1}},
      {R"({"repetition_penalty": 1e-31})", "repetition_penalty", {.repetition_penalty = 1}},
      {R"({"repetition_penalty": 1e31})", "repetition_penalty", {.repetition_penalty = 1}},
      {R"({"repetition_penalty": 1.3})", "", {.repetition_penalty = 1.3}},
  };
  for (const auto& one : cases) {
    SCOPED_TRACE(one.keys);
    const GenerationConfig g = generation(one.keys);
    EXPECT_EQ(g.sampling.temperature, one.want.temperature);
    EXPECT_EQ(g.sampling.top_k, one.want.top_k);
    EXPECT_EQ(g.sampling.top_p, one.want.top_p);
    EXPECT_EQ(g.sampling.min_p, one.want.min_p);
    EXPECT_EQ(g.sampling.repetition_penalty, one.want.repetition_penalty);
    EXPECT_NO_THROW(check_sampling(g.sampling));
    if (*one.warned) {
      ASSERT_EQ(g.warnings.size(), 1u);
      EXPECT_THAT(g.warnings[0], HasSubstr("generation_config.json: " + std::string(one.warned) + ": expected"));
    } else {
      EXPECT_THAT(g.warnings, IsEmpty());
    }
  }
  EXPECT_ERROR(ErrorCode::kBadFile, generation(R"({"top_k": "all"})"), "top_k");
  EXPECT_ERROR(ErrorCode::kBadFile, generation(R"({"eos_token_id": -1})"), "eos_token_id");
}

}  // namespace
}  // namespace g3n::testing

// The audio tower against its double-precision reference, in shapes that no checkpoint has, and with weights chosen so
// that the rules that random weights hide (cumulative variance, soft-cap) decide the outcome.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "audio/audio_tower.h"
#include "audio/random_weights.h"
#include "audio/reference_tower.h"
#include "kernels/table.h"

namespace g3n::testing {
namespace {

AudioConfig small_config() {
  AudioConfig c;
  c.mels = 20;
  c.hidden = 24;
  c.heads = 2;
  c.layers = 2;
  c.convs = {{6, 3, 3, 2, 2}, {5, 3, 3, 2, 2}};
  c.vocab_size = 4;
  c.soft_tokens = 12;
  c.text_hidden = 18;
  return c;
}

Matrix some_log_mel(int64_t frames, int64_t mels) {
  Matrix x(frames, mels);
  for (size_t i = 0; i < x.values.size(); ++i) x.values[i] = static_cast<float>(-4 + 5 * (uniform01(77, i) - 0.5));
  return x;
}

double distance(std::span<const float> got, const Matrix& want) {
  double difference = 0, size = 0;
  for (size_t i = 0; i < want.values.size(); ++i) {
    difference += (got[i] - want.values[i]) * (got[i] - want.values[i]);
    size += want.values[i] * want.values[i];
  }
  return std::sqrt(difference / size);
}

class EncodedTap : public TapSink {
 public:
  explicit EncodedTap(bool everything = false) : everything_(everything) {}
  bool wants(const std::string& name) override { return everything_ || name == "audio.encoded"; }
  void record(const std::string& name, std::span<const int64_t> dims, const float* data, int) override {
    int64_t n = 1;
    for (int64_t d : dims) n *= d;
    for (int64_t i = 0; i < n; ++i) finite = finite && std::isfinite(data[i]);
    if (name == "audio.encoded") encoded.assign(data, data + n);
  }
  std::vector<float> encoded;
  bool finite = true;

 private:
  bool everything_;
};

// A tower with its weights, and how to run it.
struct Fixture {
  explicit Fixture(const AudioConfig& config, const RandomOptions& options = {}, int threads = 1)
      : pool(threads), weights(pool, options), tower(config) {
    tower.bind(weights);
  }
  std::vector<float> run(const Matrix& log_mel, std::span<const uint8_t> valid = {}, TapSink* taps = nullptr) {
    const std::vector<float> x(log_mel.values.begin(), log_mel.values.end());
    const AudioConfig& c = tower.config();
    std::vector<float> out(static_cast<size_t>(c.soft_tokens * c.text_hidden), NAN);
    Context ctx{.pool = pool, .kernels = best_kernels(), .arena = arena, .taps = taps};
    tower.forward(ctx, View<const float, 2>(x.data(), {log_mel.rows, log_mel.cols}), valid,
                  {out.data(), {c.soft_tokens, c.text_hidden}});
    return out;
  }
  ThreadPool pool;
  Arena arena;
  RandomWeights weights;
  AudioTower tower;
};

struct Case {
  std::string name;
  AudioConfig config;
  int64_t frames;
  int64_t valid;
  int64_t chunk = 12;
};

std::vector<Case> cases() {
  std::vector<Case> list;
  const auto add = [&](const std::string& name, int64_t frames, int64_t valid, auto change, int64_t chunk = 12) {
    AudioConfig c = small_config();
    change(c);
    list.push_back({name, c, frames, valid, chunk});
  };
  add("plain", 130, 130, [](AudioConfig&) {});
  add(
      "chunk_5", 130, 130, [](AudioConfig&) {}, 5);
  add(
      "chunk_8_context_20", 150, 150, [](AudioConfig& c) { c.context_left = 20; }, 8);
  add(
      "chunk_40", 150, 150, [](AudioConfig&) {}, 40);
  add("context_1", 61, 61, [](AudioConfig& c) { c.context_left = 1; });
  add("context_longer_than_the_clip", 61, 61, [](AudioConfig& c) { c.context_left = 100; });
  add("one_frame", 1, 1, [](AudioConfig&) {});
  add("two_frames", 2, 2, [](AudioConfig&) {});
  add("reduction_2", 80, 80, [](AudioConfig& c) { c.reduction_factor = 2; });
  add("reduction_3", 99, 99, [](AudioConfig& c) { c.reduction_factor = 3; });
  add("reduction_1", 41, 41, [](AudioConfig& c) { c.reduction_factor = 1; });
  add("light_conv_3", 70, 70, [](AudioConfig& c) { c.conv_kernel_size = 3; });
  add("light_conv_7", 70, 70, [](AudioConfig& c) { c.conv_kernel_size = 7; });
  add("five_heads", 70, 70, [](AudioConfig& c) { c.hidden = 70, c.heads = 5; });
  add("one_head_wide", 50, 50, [](AudioConfig& c) { c.hidden = 130, c.heads = 1; });
  add("kernels_and_strides", 70, 70, [](AudioConfig& c) { c.convs = {{7, 5, 3, 1, 2}, {9, 2, 4, 3, 1}}; });
  add("stride_beyond_kernel", 90, 90, [](AudioConfig& c) { c.convs = {{17, 1, 1, 2, 3}, {4, 3, 3, 2, 2}}; });
  add("no_layers", 70, 70, [](AudioConfig& c) { c.layers = 0; });
  add("residual_weight", 70, 70, [](AudioConfig& c) { c.residual_weight = 0.75f; });
  add("padded", 130, 69, [](AudioConfig&) {});
  add("padded_to_a_token_end", 130, 64, [](AudioConfig&) {});
  add("padded_by_one", 130, 129, [](AudioConfig&) {});
  add("padded_to_one", 130, 1, [](AudioConfig&) {});
  add("all_padding", 40, 0, [](AudioConfig&) {});
  add("padded_reduction_3", 99, 50, [](AudioConfig& c) { c.reduction_factor = 3; });
  return list;
}

class TowerShapes : public ::testing::TestWithParam<Case> {};

TEST_P(TowerShapes, EqualTheReference) {
  const Case& p = GetParam();
  Fixture f(p.config);
  const Matrix log_mel = some_log_mel(p.frames, p.config.mels);
  std::vector<uint8_t> valid(static_cast<size_t>(p.frames), 0);
  std::fill_n(valid.begin(), p.valid, 1);
  const ReferenceOutput want = reference_tower(p.config, f.weights.tensors(), log_mel, valid, {.chunk = p.chunk});
  EncodedTap taps;
  const std::vector<float> got = f.run(log_mel, valid, &taps);
  EXPECT_EQ(f.tower.tokens(p.frames), want.encoded.rows);
  ASSERT_EQ(taps.encoded.size(), want.encoded.values.size());
  if (p.valid > 0) {
    EXPECT_LT(distance(taps.encoded, want.encoded), 1e-5);
  } else {
    EXPECT_THAT(taps.encoded, ::testing::Each(0.0f));
  }
  EXPECT_LT(distance(got, want.soft_tokens), 1e-5);
}

// Taps ask for whole rows in the last block; without them only every fourth frame is finished. Same bits.
TEST_P(TowerShapes, UnwantedFramesChangeNothing) {
  const Case& p = GetParam();
  Fixture f(p.config);
  const Matrix log_mel = some_log_mel(p.frames, p.config.mels);
  std::vector<uint8_t> valid(static_cast<size_t>(p.frames), 0);
  std::fill_n(valid.begin(), p.valid, 1);
  EncodedTap everything(true);
  const std::vector<float> whole = f.run(log_mel, valid, &everything);
  EXPECT_TRUE(everything.finite);
  EXPECT_EQ(f.run(log_mel, valid), whole);
}

INSTANTIATE_TEST_SUITE_P(Audio, TowerShapes, ::testing::ValuesIn(cases()),
                         [](const auto& param_info) { return param_info.param.name; });

TEST(AudioTower, SameBitsForAnyNumberOfThreads) {
  AudioConfig c = small_config();
  c.hidden = 96, c.heads = 4, c.mels = 64, c.convs = {{32, 3, 3, 2, 2}, {16, 3, 3, 2, 2}}, c.soft_tokens = 40;
  const Matrix log_mel = some_log_mel(600, c.mels);
  const std::vector<float> one = Fixture(c).run(log_mel);
  EXPECT_EQ(Fixture(c, {}, 2).run(log_mel), one);
  EXPECT_EQ(Fixture(c, {}, 3).run(log_mel), one);
}

// Nothing in a shorter clip depends on what follows: a longer one starts with the same tokens, but for the
// convolutions' look-ahead.
TEST(AudioTower, FramesLookBackOnly) {
  const AudioConfig c = small_config();
  Fixture f(c);
  Matrix log_mel = some_log_mel(130, c.mels);
  const std::vector<float> before = f.run(log_mel);
  for (int64_t i = 0; i < c.mels; ++i) log_mel.at(103, i) += 3;  // frames 25 and later see it: tokens 7 and 8
  const std::vector<float> after = f.run(log_mel);
  const auto row = static_cast<size_t>(c.text_hidden);
  EXPECT_TRUE(std::equal(before.begin(), before.begin() + static_cast<ptrdiff_t>(7 * row), after.begin()));
  EXPECT_FALSE(std::equal(before.begin() + static_cast<ptrdiff_t>(7 * row),
                          before.begin() + static_cast<ptrdiff_t>(8 * row),
                          after.begin() + static_cast<ptrdiff_t>(7 * row)));
}

// The variance adds each frame's distance to its own running mean. Kernels with an offset make that mean wander.
TEST(AudioTower, VarianceIsAgainstTheRunningMean) {
  const AudioConfig c = small_config();
  Fixture f(c, {.conv_offset = 0.4f});
  Matrix log_mel = some_log_mel(130, c.mels);
  for (int64_t t = 0; t < 130; ++t)
    for (int64_t i = 0; i < c.mels; ++i) log_mel.at(t, i) = static_cast<float>(log_mel.at(t, i) + (t < 60 ? 0 : 6));
  const std::vector<uint8_t> valid(130, 1);
  const ReferenceOutput want = reference_tower(c, f.weights.tensors(), log_mel, valid, {});
  const ReferenceOutput wrong =
      reference_tower(c, f.weights.tensors(), log_mel, valid, {.variance_against_latest_mean = true});
  EncodedTap taps;
  f.run(log_mel, {}, &taps);
  EXPECT_LT(distance(taps.encoded, want.encoded), 1e-5);
  EXPECT_GT(distance(taps.encoded, wrong.encoded), 1e-2);
}

// Content and position terms are added, capped at 50, then masked.
TEST(AudioTower, LogitsAreCapped) {
  const AudioConfig c = small_config();
  Fixture f(c, {.per_dim_scale = 60.0f});
  const Matrix log_mel = some_log_mel(130, c.mels);
  const std::vector<uint8_t> valid(130, 1);
  const ReferenceOutput want = reference_tower(c, f.weights.tensors(), log_mel, valid, {});
  const ReferenceOutput wrong = reference_tower(c, f.weights.tensors(), log_mel, valid, {.cap_logits = false});
  EncodedTap taps;
  f.run(log_mel, {}, &taps);
  EXPECT_LT(distance(taps.encoded, want.encoded), 1e-4);
  EXPECT_GT(distance(taps.encoded, wrong.encoded), 1e-2);
}

TEST(AudioTower, BF16WeightsAreExactInF32) {
  const AudioConfig c = small_config();
  Fixture f(c, {.matrices = DType::kBF16});
  const Matrix log_mel = some_log_mel(130, c.mels);
  const ReferenceOutput want = reference_tower(c, f.weights.tensors(), log_mel, std::vector<uint8_t>(130, 1), {});
  EXPECT_LT(distance(f.run(log_mel), want.soft_tokens), 1e-5);
}

TEST(AudioTower, HardEmbeddingOfTheLastRowIsThePadding) {
  const AudioConfig c = small_config();
  Fixture f(c);
  const std::vector<float> got = f.run(some_log_mel(30, c.mels));  // 2 tokens
  std::vector<float> pad(static_cast<size_t>(c.text_hidden)), first(pad.size());
  Context ctx{.pool = f.pool, .kernels = best_kernels(), .arena = f.arena};
  f.tower.hard_embedding(ctx, c.vocab_size - 1, {pad.data(), {1, c.text_hidden}});
  f.tower.hard_embedding(ctx, 0, {first.data(), {1, c.text_hidden}});
  EXPECT_NE(pad, first);
  for (int64_t row = 2; row < c.soft_tokens; ++row)
    EXPECT_TRUE(std::equal(pad.begin(), pad.end(), got.begin() + static_cast<ptrdiff_t>(row * c.text_hidden))) << row;
}

std::string message_of(auto&& call, ErrorCode code) {
  try {
    call();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), code);
    return e.what();
  }
  return "nothing was thrown";
}

TEST(AudioTower, RefusesWhatItCannotEncode) {
  using ::testing::HasSubstr;
  const AudioConfig c = small_config();
  Fixture f(c);
  EXPECT_EQ(f.run(some_log_mel(192, c.mels)).size(),
            static_cast<size_t>(c.soft_tokens * c.text_hidden));  // 12 tokens: the most
  const auto refuse = [&](int64_t frames, std::vector<uint8_t> valid) {
    return message_of([&] { f.run(some_log_mel(frames, c.mels), valid); }, ErrorCode::kInvalidArgument);
  };
  EXPECT_THAT(refuse(193, {}), HasSubstr("at most 12 soft tokens, found 13 (193 log-mel frames)"));
  EXPECT_THAT(refuse(0, {}), HasSubstr("at least one log-mel frame"));
  EXPECT_THAT(refuse(3, {1, 1}), HasSubstr("mask of 3 log-mel frames, found 2"));
  EXPECT_THAT(refuse(4, {1, 0, 0, 1}), HasSubstr("valid frame 3 after padding from frame 1"));
}

TEST(AudioConfig, DefaultsAreThePublishedModels) {
  const AudioConfig c = AudioConfig::from(Config::parse("{}", "config.json"));
  EXPECT_EQ(c.hidden, 1536);
  EXPECT_EQ(c.layers, 12);
  EXPECT_EQ(c.head_dim(), 192);
  EXPECT_EQ(c.ffn(), 6144);
  EXPECT_EQ(c.context_left, 13);
  EXPECT_EQ(c.conv_kernel_size, 5);
  EXPECT_EQ(c.flat(), 1024);
  EXPECT_EQ(c.soft_tokens, 188);
  EXPECT_EQ(c.vocab_offset, 262272);
  EXPECT_FLOAT_EQ(c.gradient_clipping, 1e10f);
  // spec/audio.md 2
  const std::pair<int64_t, int64_t> tokens[] = {{23, 2},   {48, 3},     {97, 7},     {497, 32},
                                                {997, 63}, {2997, 188}, {3008, 188}, {3009, 189}};
  for (const auto& [frames, want] : tokens) EXPECT_EQ(c.tokens(frames), want) << frames;
  EXPECT_EQ(c.conformer_frames(2997), 750);
}

TEST(AudioConfig, ReadsEveryKey) {
  const AudioConfig c =
      AudioConfig::from(Config::parse(R"({"audio_soft_tokens_per_image": 20, "text_config": {"hidden_size": 96},
    "audio_config": {"input_feat_size": 40, "hidden_size": 48, "conf_num_hidden_layers": 5, "conf_num_attention_heads": 3,
    "conf_attention_context_left": 7, "conf_attention_context_right": 0, "conf_attention_chunk_size": 6, "conf_attention_logit_cap": 30.0,
    "conf_conv_kernel_size": 3, "conf_reduction_factor": 2, "conf_residual_weight": 0.25, "gradient_clipping": 1000, "rms_norm_eps": 1e-5,
    "sscp_conv_group_norm_eps": 0.01, "sscp_conv_channel_size": [10, 11], "sscp_conv_kernel_size": [[3, 5], [2, 3]],
    "sscp_conv_stride_size": [[2, 1], [3, 2]], "vocab_size": 9, "vocab_offset": 1000}})",
                                      "config.json"));
  EXPECT_EQ(std::vector<int64_t>({c.soft_tokens, c.text_hidden, c.mels, c.hidden, c.layers, c.heads, c.context_left,
                                  c.conv_kernel_size, c.reduction_factor, c.vocab_size, c.vocab_offset}),
            std::vector<int64_t>({20, 96, 40, 48, 5, 3, 7, 3, 2, 9, 1000}));
  EXPECT_EQ(std::vector<float>({c.logit_cap, c.residual_weight, c.gradient_clipping, c.rms_norm_eps, c.group_norm_eps}),
            std::vector<float>({30.0f, 0.25f, 1000.0f, 1e-5f, 0.01f}));
  EXPECT_EQ(c.convs[0].channels, 10);
  EXPECT_EQ(c.convs[0].kernel_bins, 5);
  EXPECT_EQ(c.convs[1].kernel_frames, 2);
  EXPECT_EQ(c.convs[1].stride_frames, 3);
  EXPECT_EQ(c.stride_frames(), 6);
  EXPECT_EQ(c.flat(), 19 * 11);  // 40 bins: 38, then (38 + 2 - 3) / 2 + 1
}

TEST(AudioConfig, SaysWhatIsWrong) {
  using ::testing::HasSubstr;
  const auto refuse = [](const std::string& audio, ErrorCode code = ErrorCode::kBadFile) {
    return message_of([&] { AudioConfig::from(Config::parse("{\"audio_config\": {" + audio + "}}", "config.json")); },
                      code);
  };
  EXPECT_THAT(refuse("\"conf_attention_context_right\": 2", ErrorCode::kUnsupported),
              HasSubstr("expected 0 (no look-ahead), found 2"));
  EXPECT_THAT(refuse("\"conf_num_attention_heads\": 7"), HasSubstr("a divisor of hidden_size 1536"));
  EXPECT_THAT(refuse("\"hidden_size\": 9, \"conf_num_attention_heads\": 3"), HasSubstr("an even number"));
  EXPECT_THAT(refuse("\"sscp_conv_kernel_size\": [[3, 3]]"), HasSubstr("2 pairs [frames, bins]"));
  EXPECT_THAT(refuse("\"sscp_conv_stride_size\": [[2, 2], [0, 2]]"), HasSubstr("2 pairs [frames, bins]"));
  EXPECT_THAT(refuse("\"sscp_conv_channel_size\": [8, 8, 8]"), HasSubstr("a list of 2"));
  EXPECT_THAT(refuse("\"input_feat_size\": 1, \"sscp_conv_kernel_size\": [[3, 5], [3, 3]]"),
              HasSubstr("at most 3 bins"));
  EXPECT_THAT(refuse("\"conf_attention_logit_cap\": 0"), HasSubstr("above 0"));
  EXPECT_THAT(refuse("\"conf_reduction_factor\": 0"), HasSubstr("conf_reduction_factor"));
}

}  // namespace
}  // namespace g3n::testing
